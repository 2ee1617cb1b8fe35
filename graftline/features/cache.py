"""The output of the frozen prefix for every image, computed once and kept on disk.

The prefix never changes, so its output is the same in every epoch, and in every later run on the same images with the same
weights. It is kept in shards. A shard is a folder with one .npy file per field; it is written aside, checksummed and
renamed, so an interrupted pass resumes where it stopped, and a damaged shard is written again. Any number of machines can
write shards, in any order.

The format is NumPy's own, because it is simple, can be read at any row, and exists wherever NumPy does. array_record also
has checksums, but no wheel for macOS on arm64, and it returns each record as a Python object. Rows are read, not mapped:
the pages of a map count as memory of this process, which would grow with the data.
"""

import json
import logging
import os
import shutil
import weakref
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.progress import Progress

from graftline.artifacts import records
from graftline.base.errors import UserError
from graftline.base.paths import aside, in_use
from graftline.base.threads import side_by_side
from graftline.network.inference import STREAMS, Run

SHARD_EXAMPLES = 2048
AHEAD = 4  # batches that are prefetched
ACTIVATION, POOLED, LABEL = "activation", "pooled", "label"
FIELDS = (ACTIVATION, POOLED, LABEL)
CHECKSUMS = "crc32.json"

# From the first example and a number of examples to batches (images float32 [batch, size, size, 3], labels int64 [batch])
Source = Callable[[int, int], tf.data.Dataset]


@dataclass(frozen=True)
class CachedSplit:
    """The features of one split, on disk.

    Attributes:
      views: one folder per view of the images, such as the plain and the mirrored one.
      examples: number of examples in each view.
    """

    views: tuple[Path, ...]
    examples: int

    def steps(self, batch_size: int) -> int:
        """Returns the number of batches in an epoch; the last may be smaller."""
        return -(-self.examples // batch_size)

    def dataset(
        self, field: str, batch_size: int, seed: int | None = None, epoch: int = 0, start: int = 0
    ) -> tf.data.Dataset:
        """Returns batches of (features, labels) of one epoch.

        Args:
          field: ACTIVATION or POOLED.
          batch_size: examples in a batch.
          seed: shuffles the whole split, differently in each epoch, and draws one view of each example; None keeps the
            order and takes the first view.
          epoch: number of the epoch, from 0.
          start: number of the first batch.

        Returns:
          float32 [batch, ...] and int64 [batch].
        """
        stored = Rows(self.views, field)

        def read(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found, label = tf.numpy_function(stored.read, [batch], [stored.dtype, tf.int64], stateful=False)
            found.set_shape([None, *stored.shape])
            label.set_shape([None])
            return tf.cast(found, tf.float32), label

        batches = self.rows(batch_size, seed, epoch, start)
        found = batches.map(read, num_parallel_calls=2, deterministic=True).prefetch(AHEAD)
        return found.with_options(records.options())

    def rows(self, batch_size: int, seed: int | None, epoch: int = 0, start: int = 0) -> tf.data.Dataset:
        """Returns the row numbers of each batch, counted across the views, in the order of `dataset`.

        A pseudorandom permutation computes them from only seed, epoch and step: shuffling takes no memory, and an
        interrupted epoch can resume at any step.
        """

        def batch(step: tf.Tensor) -> tf.Tensor:
            first = step * batch_size
            rows = tf.range(first, tf.minimum(first + batch_size, self.examples))
            if seed is None:
                return rows
            rows = tf.random.experimental.index_shuffle(rows, [seed, epoch], self.examples - 1)
            key = tf.random.experimental.stateless_fold_in([seed, epoch], step)
            view = tf.random.stateless_uniform(tf.shape(rows), key, 0, len(self.views), tf.int64)
            return rows + self.examples * view

        return tf.data.Dataset.range(start, self.steps(batch_size)).map(batch)


class Rows:
    """Reads rows of one field, with their labels, by number, across shards."""

    def __init__(self, folders: Iterable[Path], field: str) -> None:
        """Opens the field's file in every shard of the folders."""
        parts = [shard for folder in folders for shard in shards(folder)]
        maps = [np.load(shard / f"{field}.npy", mmap_mode="r") for shard in parts]
        self.shape, self.dtype, self._offset = maps[0].shape[1:], maps[0].dtype, maps[0].offset
        self._starts = np.cumsum([0, *(len(rows) for rows in maps)])
        self.labels = np.concatenate([np.load(shard / f"{LABEL}.npy") for shard in parts])
        self._paths = [shard / f"{field}.npy" for shard in parts]
        self._files = [os.open(path, os.O_RDONLY) for path in self._paths]
        weakref.finalize(self, _close, self._files)

    def read(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns features [batch, ...] and labels [batch] of the rows with the numbers [batch]."""
        found = np.empty((len(rows), *self.shape), self.dtype)
        size = found.nbytes // len(rows)
        buffer: Any = memoryview(found.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for index, (row, shard) in enumerate(zip(rows, shard_of, strict=True)):
            offset = self._offset + int(row - self._starts[shard]) * size
            self._fill(buffer[index * size : (index + 1) * size], shard, offset)
        return found, self.labels[rows]

    def _fill(self, buffer: memoryview, shard: int, offset: int) -> None:
        """Reads until a buffer is full, because one call may return less."""
        while buffer:
            count = os.preadv(self._files[shard], [buffer], offset)
            if not count:
                raise UserError(f"{self._paths[shard]} was truncated during the run: run again to recompute it.")
            buffer, offset = buffer[count:], offset + count


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


def shards(folder: Path) -> list[Path]:
    """Returns the complete shards of a split, in order."""
    return sorted(path for path in folder.glob("[0-9]*") if path.suffix != ".tmp")


def is_complete(folder: Path, examples: int) -> bool:
    """Returns whether a split is in the cache completely and undamaged; removes damaged shards."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in shards(folder):
        if not _is_sound(shard):
            logging.getLogger("absl").warning(
                "Shard %s of the feature cache is damaged, so it is computed again.", shard
            )
            shutil.rmtree(shard, ignore_errors=True)  # another process may do the same
    return not missing(folder, examples)


def missing(folder: Path, examples: int) -> list[int]:
    """Returns the numbers of the shards that are missing for this number of examples."""
    there = {shard.name for shard in shards(folder)}
    return [number for number in range(-(-examples // SHARD_EXAMPLES)) if f"{number:05}" not in there]


def fill(folder: Path, examples: int, source: Source, run: Run, dtype: str) -> None:
    """Computes the missing shards of a split; those that exist must be undamaged.

    Args:
      folder: folder of one view of the split.
      examples: number of examples in the split.
      source: where the images come from, in batches of which a shard holds a whole number.
      run: the compiled prefix.
      dtype: float16 or float32.
    """
    for left in folder.glob("*.tmp"):
        if not in_use(left):
            shutil.rmtree(left, ignore_errors=True)
    absent = missing(folder, examples)
    with Progress() as progress:
        done = examples - sum(place(range(number, number + 1), examples)[1] for number in absent)
        task = progress.add_task(f"Features of {folder.name}", total=examples, completed=done)
        for numbers in _runs(absent):
            for count in write(folder, numbers, examples, source, run, dtype):
                progress.advance(task, count)


def write(folder: Path, numbers: range, examples: int, source: Source, run: Run, dtype: str) -> Iterator[int]:
    """Writes consecutive shards, and yields the number of examples in each batch.

    Args:
      folder: folder of one view of the split.
      numbers: numbers of the shards.
      examples: number of examples in the whole split.
      source: as for `fill`.
      run: the compiled prefix.
      dtype: float16 or float32.
    """
    held: dict[str, list[np.ndarray]] = {field: [] for field in FIELDS}
    number = numbers.start
    for rows in computed(source(*place(numbers, examples)), run, dtype):
        for field in FIELDS:
            held[field].append(rows[field])
        if sum(map(len, held[LABEL])) >= SHARD_EXAMPLES:
            _write_shard(folder / f"{number:05}", held)
            held, number = {field: [] for field in FIELDS}, number + 1
        yield len(rows[LABEL])
    if held[LABEL]:
        _write_shard(folder / f"{number:05}", held)


def place(numbers: range, examples: int) -> tuple[int, int]:
    """Returns the first example of consecutive shards, and how many they hold."""
    first = numbers.start * SHARD_EXAMPLES
    return first, min(numbers.stop * SHARD_EXAMPLES, examples) - first


def _runs(numbers: list[int]) -> list[range]:
    """Returns sorted numbers as ranges without gaps."""
    known = set(numbers)
    starts = [number for number in numbers if number - 1 not in known]
    ends = [number + 1 for number in numbers if number + 1 not in known]
    return [range(*run) for run in zip(starts, ends, strict=True)]


def _is_sound(shard: Path) -> bool:
    try:
        return json.loads((shard / CHECKSUMS).read_text()) == _checksums(shard)
    except (OSError, ValueError):
        return False


def _checksums(shard: Path) -> dict[str, int]:
    return {field: _crc32(shard / f"{field}.npy") for field in FIELDS}


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def computed(batches: tf.data.Dataset, run: Run, dtype: str) -> Iterator[dict[str, np.ndarray]]:
    """Yields the fields of each batch; several batches are computed in parallel."""

    def compute(batch: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
        images, labels = batch
        activation, pooled = run(images)
        return {ACTIVATION: activation.astype(dtype), POOLED: pooled.astype(dtype), LABEL: labels}

    return side_by_side(compute, batches.as_numpy_iterator(), STREAMS)


def _write_shard(shard: Path, held: dict[str, list[np.ndarray]]) -> None:
    written = aside(shard)
    written.mkdir(parents=True)
    for field, batches in held.items():
        np.save(written / f"{field}.npy", np.concatenate(batches))
    (written / CHECKSUMS).write_text(json.dumps(_checksums(written)))
    try:
        written.rename(shard)
    except OSError:
        if not shard.is_dir():
            raise
        shutil.rmtree(written)  # another process that fills the same cache wrote the same rows first
