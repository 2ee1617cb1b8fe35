"""Perceptual hashes of many images: `python -m benchmarks.duplicates [--hashes N]`.

Finds what is near each of a hundredth, a tenth and all of the hashes, each in a process of its own. They are random as those
of photos, but for one in fifty, which share a piece as those of drawings on white do. `ratio` is the time for each hash at
all of them against that at a hundredth.
"""

import argparse
import resource
import sys
import time

import numpy as np

from benchmarks import common

SHARED = 50
PIECE = np.uint64(2**13 - 1)


def main() -> None:
    """Measures, or searches some of the hashes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--search", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.search:
        common.answer(_search(arguments.search))
        return
    sizes = [arguments.hashes // 100, arguments.hashes // 10, arguments.hashes]
    runs = {size: common.ask("benchmarks.duplicates", [*sys.argv[1:], "--search", str(size)]) for size in sizes}
    each = [runs[size]["seconds"] / size for size in sizes]
    common.tell("duplicates", ratio=round(each[-1] / each[0], 2), runs=runs)


def _search(count: int) -> dict[str, float]:
    from components.duplicates import near

    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**63, count, dtype=np.uint64)
    hashes[: count // SHARED] &= ~PIECE
    hashes = np.unique(hashes)
    images = np.arange(len(hashes))
    start = time.perf_counter()
    near.neighbours(hashes, images, random.integers(0, 3, len(hashes)), images)
    seconds = time.perf_counter() - start
    return {"seconds": round(seconds, 1), "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}


if __name__ == "__main__":
    main()
