"""Reads the examples of a split, starting at any of them, and sets how tf.data reads."""

import itertools
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import tensorflow as tf

from graftline.base.threads import side_by_side

# Before each record of a TFRecord file, with its own checksum; the record's checksum follows it
LENGTH = struct.Struct("<Q")
AROUND = LENGTH.size + 4 + 4
AT_ONCE = 16  # examples that a thread gets at once; photos have some megabytes each

Found = TypeVar("Found")


class Part(NamedTuple):
    """Consecutive examples of a split.

    Attributes:
      files: the files that contain them, in order.
      skipped: how many examples of the first file come before them.
      examples: how many there are.
    """

    files: tuple[str, ...]
    skipped: int
    examples: int

    def read(self) -> tf.data.Dataset:
        """Returns the serialized tf.Examples."""
        files = tf.data.TFRecordDataset(list(self.files))
        return files.skip(self.skipped).take(self.examples).with_options(options())


class Split(NamedTuple):
    """The examples of a split: the files that contain them, in order, and how many are in each."""

    files: tuple[tuple[str, int], ...]

    @property
    def examples(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.files)

    def part(self, first: int, count: int) -> Part:
        """Returns `count` examples starting at `first`; earlier files are not read to find it."""
        ends = itertools.accumulate(held for _, held in self.files)
        within = [
            (file, end - held)
            for (file, held), end in zip(self.files, ends, strict=True)
            if end > first and end - held < first + count
        ]
        skipped = first - within[0][1] if within else 0
        return Part(tuple(file for file, _ in within), skipped, min(count, self.examples - first))

    def read(self, first: int, count: int) -> tf.data.Dataset:
        """Returns `count` serialized tf.Examples starting at `first`."""
        return self.part(first, count).read()


def read(examples_uri: str, split: str) -> tf.data.Dataset:
    """Returns the serialized tf.Examples of a split, one file after the other.

    Args:
      examples_uri: folder that contains the splits.
      split: its name.
    """
    return tf.data.TFRecordDataset(_files(examples_uri, split)).with_options(options())


def each(examples_uri: str, split: str, function: Callable[[bytes], Found]) -> Iterator[Found]:
    """Yields what a function returns about each serialized tf.Example of a split, in order.

    It runs in threads, and only the examples that these work on are in memory.

    Args:
      examples_uri: folder that contains the splits.
      split: its name.
      function: what to do with an example.
    """
    batches = read(examples_uri, split).batch(AT_ONCE).as_numpy_iterator()
    for found in side_by_side(lambda batch: list(map(function, batch)), batches, os.cpu_count() or 1):
        yield from found


def counted(examples_uri: str, split: str) -> Split:
    """Returns which files a split has, and how many examples are in each; arguments as for `read`.

    It does not read the records, only the length before each.
    """
    return Split(tuple((file, _count(file)) for file in _files(examples_uri, split)))


def options() -> tf.data.Options:
    """Returns options without autotuning, so that an iteration does not wait at its end.

    With autotuning, the end of an iteration sometimes waits for about as long as the iteration took: up to half the time of
    an epoch, seen in TensorFlow 2.21 (docs/explanation/performance.md). So parallelism is set, not tuned.
    """
    found = tf.data.Options()
    found.autotune.enabled = False
    return found


def _files(examples_uri: str, split: str) -> list[str]:
    return sorted(tf.io.gfile.glob(f"{examples_uri}/Split-{split}/*"))


def _count(file: str) -> int:
    count = place = 0
    with Path(file).open("rb", buffering=0) as opened:
        while len(head := os.pread(opened.fileno(), LENGTH.size, place)) == LENGTH.size:
            place += AROUND + LENGTH.unpack(head)[0]
            count += 1
    return count
