"""Moves written examples to other splits, because what splits lend is known only when all images have been read."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import tensorflow as tf

from components.example_gen.splits import Digests, digest_of, lent, split_of
from graftline.artifacts import records
from graftline.artifacts.examples import IMAGE, LABEL_NAME, TEST
from graftline.settings.data import Splits

Counts = Counter[tuple[str, str]]  # number of images by split and class


def moves(lowest: dict[tuple[str, str], list[Digests]], free: tuple[str, ...]) -> dict[Digests, str]:
    """Returns the images of all classes that go to another split than their own: that split by their hashes.

    Args:
      lowest: the lowest hashes by split and class.
      free: the splits that lend and borrow.
    """
    found: dict[Digests, str] = {}
    for label in sorted({label for _, label in lowest}):
        of_class = lent({split: lowest.get((split, label), []) for split in free}, free)
        # The same bytes may be in two classes: test wins, so that copies stay in one split
        found |= {digests: split for digests, split in of_class.items() if found.get(digests) != TEST}
    return found


def move(uri: str, moved: dict[Digests, str], splits: Splits, free: tuple[str, ...]) -> Counts:
    """Moves images, with one at a time in memory, and returns how the counts of splits and classes change.

    Args:
      uri: folder of the splits.
      moved: as `moves` returns it; files of splits that lend nothing are left alone.
      splits: fraction of each split.
      free: as for `moves`.
    """
    changes: Counts = Counter()
    targets = {digests.kept: split for digests, split in moved.items()}
    with ExitStack() as stack:
        writers = {}
        for split in sorted(set(moved.values())):
            path = Path(uri, f"Split-{split}", "lent_tfrecord")
            writers[split] = stack.enter_context(tf.io.TFRecordWriter(str(path)))
        for split in sorted({split_of(digests.original, splits, free) for digests in moved}):
            for path in sorted(Path(uri, f"Split-{split}").glob("data_tfrecord*")):
                for label, to in _sift(path, targets, writers):
                    changes.subtract([(split, label)])
                    changes.update([(to, label)])
    return changes


def _sift(path: Path, targets: dict[str, str], writers: dict[str, tf.io.TFRecordWriter]) -> Iterator[tuple[str, str]]:
    """Moves the target images out of a file; yields the class and new split of each."""
    aside = path.with_name(f".{path.name}")
    with tf.io.TFRecordWriter(str(aside)) as stays:
        for record in tf.data.TFRecordDataset(str(path)).with_options(records.options()).as_numpy_iterator():
            feature = tf.train.Example.FromString(record).features.feature
            to = targets.get(digest_of(feature[IMAGE].bytes_list.value[0]))
            (writers[to] if to else stays).write(record)
            if to:
                yield feature[LABEL_NAME].bytes_list.value[0].decode(), to
    aside.replace(path)
