"""The feature cache with many synthetic entries: `python -m benchmarks.cache [--entries N]`.

Reads shuffled batches of phase 2 for `--epochs` epochs from caches of a hundredth, a tenth and all of the entries, each in
its own process. The shards are sparse files, so that a million entries, 19 GB, need no disk space; the benchmark measures
the path from file to batch. `ratio` is the rate with all entries, divided by that with a hundredth of them.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from benchmarks import common
from components.serving_check.probe import peak_gb

SHAPE = (10, 10, 96)  # at MobileNetV2's default cut, for 160 pixels
BATCH = 32


def main() -> None:
    """Measures every size, or reads one of the caches."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        folder, entries = arguments.read
        common.answer(_read(Path(folder), int(entries), arguments.epochs))
        return
    sizes = [arguments.entries // 100, arguments.entries // 10, arguments.entries]
    runs = {}
    for entries in sizes:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), entries)
            runs[entries] = common.ask("benchmarks.cache", [*sys.argv[1:], "--read", folder, str(entries)])
    rates = [runs[entries]["entries_per_s"] for entries in sizes]
    common.tell("cache", ratio=round(rates[-1] / rates[0], 2), epochs=arguments.epochs, runs=runs)


def _write(folder: Path, entries: int) -> None:
    """Writes shards that contain only zeros, which take no disk space if the file system supports holes."""
    from graftline.features import cache
    from graftline.features.cache import ACTIVATION, LABEL, SHARD_EXAMPLES

    for number, start in enumerate(range(0, entries, SHARD_EXAMPLES)):
        count = min(SHARD_EXAMPLES, entries - start)
        shard = folder / f"{number:05}"
        shard.mkdir()
        _sparse(shard / f"{ACTIVATION}.npy", (count, *SHAPE), np.dtype(np.float16))
        np.save(shard / f"{LABEL}.npy", np.arange(start, start + count) % 2)
    assert len(cache.shards(folder)) == number + 1


def _sparse(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + int(np.prod(shape)) * dtype.itemsize)


def _read(folder: Path, entries: int, epochs: int) -> dict[str, float]:
    from graftline.features.cache import ACTIVATION, CachedSplit

    split = CachedSplit((folder,), entries)
    batches = (batch for epoch in range(epochs) for batch in split.dataset(ACTIVATION, BATCH, seed=0, epoch=epoch))
    before = peak_gb()
    start, first, count, ones = time.monotonic(), 0.0, 0, 0
    for features, labels in batches:
        first = first or time.monotonic() - start
        count += len(features)
        ones += int(np.sum(labels))
    assert (count, ones) == (entries * epochs, entries // 2 * epochs), json.dumps([count, ones])
    seconds = time.monotonic() - start
    grown = round(peak_gb() - before, 2)
    return {"entries_per_s": round(count / seconds), "first_batch_s": round(first, 2), "memory_grown_gb": grown}


if __name__ == "__main__":
    main()
