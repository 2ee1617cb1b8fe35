"""Decides whether an image is like those that a network was trained on.

Its likeness is the cosine between its pooled features and those of the most similar training image (Y. Sun et al.,
Out-of-Distribution Detection with Deep Nearest Neighbors, 2022). The features are taken at the cut: the fine-tuned layers
learn to ignore what does not matter to the classes, and with it what gives a stranger away.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Known(NamedTuple):
    """What distinguishes known images from strangers.

    Attributes:
      reference: pooled features of training images, each of length 1, float32 [images, channels].
      least: the lowest likeness of a known image, in [-1, 1].
    """

    reference: np.ndarray
    least: float


def unit(features: tf.Tensor) -> tf.Tensor:
    """Returns pooled features [images, channels], each normalized to length 1."""
    return tf.math.l2_normalize(tf.cast(features, tf.float32), axis=-1)


def likeness(features: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Returns the likeness of each image to the most similar one of a reference.

    Args:
      features: pooled features, float [images, channels].
      reference: see `Known`.

    Returns:
      float32 [images] in [-1, 1].
    """
    return tf.reduce_max(tf.matmul(unit(features), reference, transpose_b=True), axis=-1)
