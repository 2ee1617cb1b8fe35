"""Features in the memory of the GPU, if all splits fit: then an epoch copies only row numbers to it."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.client import device_lib

from graftline.artifacts import records
from graftline.features.cache import AHEAD, CachedSplit, Rows

SHARE = 0.5  # of a GPU's memory that features may take; the network and the optimizer's state need the rest
CHUNK = 4096  # rows copied at a time


class Resident:
    """One field of all splits as one table on a device, ordered by split and view.

    Args:
      splits: features, by name of the split.
      field: ACTIVATION or POOLED.
      device: name of the device, such as `/GPU:0`.
    """

    def __init__(self, splits: dict[str, CachedSplit], field: str, device: str) -> None:
        self._splits = splits
        stored = {name: Rows(split.views, field) for name, split in splits.items()}
        sizes = [len(rows.labels) for rows in stored.values()]
        self._first = dict(zip(splits, np.cumsum([0, *sizes]).tolist(), strict=False))
        self._labels = np.concatenate([rows.labels for rows in stored.values()])
        one = next(iter(stored.values()))
        with tf.device(device):
            # Filled in place: concatenating the parts at the end would take twice the memory
            self._table = tf.Variable(tf.zeros([sum(sizes), *one.shape], one.dtype), trainable=False)
            for name, rows in stored.items():
                for start in range(0, len(rows.labels), CHUNK):
                    wanted = np.arange(start, min(start + CHUNK, len(rows.labels)))
                    self._put(self._first[name] + start, rows.read(wanted)[0])

    def _put(self, first: int, rows: np.ndarray) -> None:
        # Not `table[a:b].assign`, which reads the table first and so copies all of it
        tf.raw_ops.ResourceStridedSliceAssign(
            ref=self._table.handle, begin=[first], end=[first + len(rows)], strides=[1], value=rows
        )

    def network(self, trained: keras.Model) -> keras.Model:
        """Returns a network that takes row numbers, int64 [batch], instead of features."""
        return FromTable(trained, self._table)

    def dataset(
        self, split: str, batch_size: int, seed: int | None = None, epoch: int = 0, start: int = 0
    ) -> tf.data.Dataset:
        """Returns batches of (row numbers, labels), both int64 [batch], in the order of `CachedSplit.dataset`."""
        labels, first = tf.constant(self._labels), self._first[split]

        def number(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return rows + first, tf.gather(labels, rows + first)

        batches = self._splits[split].rows(batch_size, seed, epoch, start).map(number)
        return batches.prefetch(AHEAD).with_options(records.options())


class FromTable(keras.Model):
    """A network that reads its input from a table; its variables are those of the network, without the table."""

    def __init__(self, trained: keras.Model, table: tf.Variable) -> None:
        super().__init__(name=f"{trained.name}_from_table")
        self.trained = trained
        self._table = table

    def call(self, rows: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Returns the network's output for the rows [batch]."""
        return self.trained(tf.cast(tf.gather(self._table, rows), tf.float32), training=training)


def place(splits: dict[str, CachedSplit], field: str) -> Resident | None:
    """Copies the features to the first GPU; returns None if there is no GPU, or no room on it.

    Args:
      splits: features, by name of the split.
      field: ACTIVATION or POOLED.
    """
    limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    if not limits or _size(splits, field) > SHARE * limits[0]:
        return None
    return Resident(splits, field, "/GPU:0")


def _size(splits: dict[str, CachedSplit], field: str) -> int:
    """Returns the size in bytes of a field of all splits."""
    stored = [Rows(split.views, field) for split in splits.values()]
    return sum(len(rows.labels) * int(np.prod(rows.shape)) * rows.dtype.itemsize for rows in stored)
