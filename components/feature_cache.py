"""What the frozen prefix makes of every picture, computed once and kept on disk.

The prefix never changes, so its output is the same in every epoch, and in every later run on the same pictures with the
same weights. It is kept in shards: a folder each, of one .npy file a field, written aside, checksummed and renamed, so that
an interrupted pass goes on where it stopped and a damaged shard is made again.

NumPy's own format, because it is plain, can be read at any row, and exists wherever NumPy does; array_record, which has
checksums too, has no wheel for macOS on arm64 and gives each record as a Python object. Rows are read, not mapped: a map's
pages count as memory of this process, which would grow with the data.
"""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from rich.progress import Progress

from components.prefix_engine import Run

SHARD_EXAMPLES = 1024
ACTIVATION, POOLED, LABEL = "activation", "pooled", "label"
FIELDS = (ACTIVATION, POOLED, LABEL)
CHECKSUMS = "crc32.json"

# Batches (pictures float32 [batch, size, size, 3], labels int64 [batch]) of a split from its n-th example on
Source = Callable[[int], tf.data.Dataset]


@dataclass(frozen=True)
class CachedSplit:
    """The features of one split, on disk.

    Attributes:
      views: a folder for each version of the pictures, as they are and mirrored for instance.
      examples: number of examples in each.
    """

    views: tuple[Path, ...]
    examples: int

    def dataset(self, field: str, batch_size: int, seed: int | None = None) -> tf.data.Dataset:
        """Returns batches of (features, labels).

        Args:
          field: ACTIVATION or POOLED.
          batch_size: examples in a batch.
          seed: shuffles over the whole split, anew each epoch, and draws one of the views of each example; None keeps the
            order and takes the first view.

        Returns:
          float32 [batch, ...] and int64 [batch].
        """
        rows = tf.data.Dataset.range(self.examples)
        if seed is not None:
            draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
            rows = rows.shuffle(self.examples, seed=seed, reshuffle_each_iteration=True)
            rows = tf.data.Dataset.zip(rows, draws).map(
                lambda row, draw: row + self.examples * (draw % len(self.views))
            )
        features, labels = Rows(self.views, field), Rows(self.views, LABEL)

        def read(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found = tf.numpy_function(features.read, [batch], features.dtype, stateful=False)
            label = tf.numpy_function(labels.read, [batch], labels.dtype, stateful=False)
            found.set_shape([None, *features.shape])
            label.set_shape([None])
            return tf.cast(found, tf.float32), label

        return rows.batch(batch_size).map(read, num_parallel_calls=2, deterministic=True).prefetch(tf.data.AUTOTUNE)


class Rows:
    """Reads rows of one field by their number, whatever shard they are in."""

    def __init__(self, folders: Iterable[Path], field: str) -> None:
        """Opens the field's file in every shard of the folders."""
        paths = [shard / f"{field}.npy" for folder in folders for shard in shards(folder)]
        maps = [np.load(path, mmap_mode="r") for path in paths]
        self.shape, self.dtype, self._offset = maps[0].shape[1:], maps[0].dtype, maps[0].offset
        self._starts = np.cumsum([0, *(len(rows) for rows in maps)])
        self._files = [path.open("rb", buffering=0) for path in paths]

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows [batch, ...] of the numbers [batch]."""
        found = np.empty((len(rows), *self.shape), self.dtype)
        size = found.nbytes // len(rows)
        buffer = memoryview(found.reshape(-1).view(np.uint8))
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for index, (row, shard) in enumerate(zip(rows, shard_of, strict=True)):
            offset = self._offset + int(row - self._starts[shard]) * size
            os.preadv(self._files[shard].fileno(), [buffer[index * size : (index + 1) * size]], offset)
        return found


def shards(folder: Path) -> list[Path]:
    """Returns the complete shards of a split, in order."""
    return sorted(path for path in folder.glob("[0-9]*") if path.suffix != ".tmp")


def is_complete(folder: Path, examples: int) -> bool:
    """Returns whether all of a split is in the cache and undamaged; removes damaged shards and those after them."""
    folder.mkdir(parents=True, exist_ok=True)
    return sum(_examples(shard) for shard in _sound_shards(folder)) == examples


def fill(folder: Path, examples: int, source: Source, run: Run, dtype: str) -> None:
    """Computes what of a split is not yet in the cache, where all that is there is sound.

    Args:
      folder: of one view of the split.
      examples: how many the source has.
      source: where the pictures come from.
      run: the compiled prefix.
      dtype: float16 or float32.
    """
    done = sum(_examples(shard) for shard in shards(folder))
    with Progress() as progress:
        task = progress.add_task(f"Features of {folder.name}", total=examples, completed=done)
        for count in _write_shards(folder, done, source, run, dtype):
            progress.advance(task, count)


def _sound_shards(folder: Path) -> list[Path]:
    """Returns the shards up to the first that is missing or damaged, and removes those after it."""
    sound: list[Path] = []
    for shard in shards(folder):
        if shard.name == f"{len(sound):05}" and _is_sound(shard):
            sound.append(shard)
        else:
            logging.getLogger("absl").warning("The feature cache's shard %s is damaged: it is made again.", shard)
            shutil.rmtree(shard)
    return sound


def _is_sound(shard: Path) -> bool:
    try:
        return json.loads((shard / CHECKSUMS).read_text()) == {
            field: _crc32(shard / f"{field}.npy") for field in FIELDS
        }
    except (OSError, ValueError):
        return False


def _crc32(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _examples(shard: Path) -> int:
    return len(np.load(shard / f"{LABEL}.npy", mmap_mode="r"))


def _write_shards(folder: Path, done: int, source: Source, run: Run, dtype: str) -> Iterator[int]:
    """Writes shard after shard, and yields the number of examples of each batch."""
    held: dict[str, list[np.ndarray]] = {field: [] for field in FIELDS}
    number = len(shards(folder))
    for pictures, labels in source(done).as_numpy_iterator():
        activation, pooled = run(pictures)
        for field, values in ((ACTIVATION, activation), (POOLED, pooled)):
            held[field].append(values.astype(dtype))
        held[LABEL].append(labels)
        if sum(map(len, held[LABEL])) >= SHARD_EXAMPLES:
            _write_shard(folder / f"{number:05}", held)
            held, number = {field: [] for field in FIELDS}, number + 1
        yield len(labels)
    if held[LABEL]:
        _write_shard(folder / f"{number:05}", held)


def _write_shard(shard: Path, held: dict[str, list[np.ndarray]]) -> None:
    aside = shard.with_suffix(".tmp")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for field, batches in held.items():
        np.save(aside / f"{field}.npy", np.concatenate(batches))
    (aside / CHECKSUMS).write_text(json.dumps({field: _crc32(aside / f"{field}.npy") for field in FIELDS}))
    aside.replace(shard)
