"""Perceptual hashes of many images: `python -m benchmarks.duplicates [--hashes N]`.

Finds what is near each hash, for a hundredth, a tenth and all of the hashes, each in its own process. The hashes are random,
like those of photos, except for one in fifty, which share a piece like those of drawings on white. `ratio` is the time per
hash for all of them, divided by that for a hundredth.
"""

import argparse
import sys
import time

import numpy as np

from benchmarks import common

SHARED = 50
PIECE = np.uint64(2**13 - 1)


def main() -> None:
    """Measures every size, or searches one of them."""
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
    return {"seconds": round(time.perf_counter() - start, 1)}


if __name__ == "__main__":
    main()
