"""Whether an image is like those that a network learnt from, or none of them.

Its likeness is the cosine of its pooled features with those of the training image that it is most like (Y. Sun et al.,
Out-of-Distribution Detection with Deep Nearest Neighbors, 2022). The features are those where the base is cut: what is
fine-tuned learns to look past what does not matter to the classes, and so past what a stranger is told by.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


class Known(NamedTuple):
    """What tells an image that is known from one that is not.

    Attributes:
      reference: pooled features of training images, each of length 1, float32 [images, channels].
      least: the likeness from which on an image is known, in [-1, 1].
    """

    reference: np.ndarray
    least: float


def unit(features: tf.Tensor) -> tf.Tensor:
    """Returns pooled features [images, channels] with a length of 1."""
    return tf.math.l2_normalize(tf.cast(features, tf.float32), axis=-1)


def likeness(features: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Returns how like the most similar image of a reference each image is.

    Args:
      features: pooled ones, float [images, channels].
      reference: as of `Known`.

    Returns:
      float32 [images] in [-1, 1].
    """
    return tf.reduce_max(tf.matmul(unit(features), reference, transpose_b=True), axis=-1)
