"""Reads the examples of a split, and tells tf.data how to read."""

import tensorflow as tf


def read(examples_uri: str, split: str) -> tf.data.Dataset:
    """Returns the serialized tf.Examples of a split, file after file.

    Args:
      examples_uri: folder of the splits.
      split: its name.
    """
    files = sorted(tf.io.gfile.glob(f"{examples_uri}/Split-{split}/*"))
    return tf.data.TFRecordDataset(files).with_options(options())


def options() -> tf.data.Options:
    """Returns options without autotuning, for a dataset that ends when it ends.

    With it, the end of an iteration at times waits, for about as long as the iteration took: up to half the time of an
    epoch, seen in TensorFlow 2.21 (docs/performance.md). How much runs at once is told, not tuned.
    """
    found = tf.data.Options()
    found.autotune.enabled = False
    return found
