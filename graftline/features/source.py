"""Where the pass has its images from: the examples of a split, through the Transform graph and a view of them."""

import os
from collections.abc import Callable

import tensorflow as tf
import tensorflow_transform as tft

from graftline.artifacts.examples import IMAGE, LABEL
from graftline.features import views
from graftline.features.cache import Source

PASS_BATCH = 32  # images the prefix takes at once; a shard holds whole batches
Examples = Callable[[int, int], tf.data.Dataset]  # so many serialized tf.Examples of a split, from its n-th one on
Decoder = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]  # from serialized tf.Examples to images and labels


def decoder(transform: tft.TFTransformOutput) -> Decoder:
    """Returns what takes serialized tf.Examples through the Transform graph; traced once for all views of all splits."""
    spec = {feature: transform.raw_feature_spec()[feature] for feature in (IMAGE, LABEL)}
    transform_layer = transform.transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        transformed = transform_layer(tf.io.parse_example(serialized, spec))
        return transformed[IMAGE], transformed[LABEL]

    return decode


def source(examples: Examples, decode: Decoder, name: str, kept: str | None = None) -> Source:
    """Returns what reads the examples of a split as images and labels.

    Args:
      examples: where they are read.
      decode: as `decoder` returns it.
      name: which view of the images.
      kept: a file that keeps what the graph makes of a whole split, for the next view; None keeps nothing.
    """

    def numbered(numbers: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return numbers, *decode(serialized)

    def shown(numbers: tf.Tensor, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return views.view(name, images, numbers), labels

    def read(first: int, count: int) -> tf.data.Dataset:
        batches = examples(first, count).enumerate(first).batch(PASS_BATCH)
        images = batches.map(numbered, num_parallel_calls=os.cpu_count(), deterministic=True)
        if kept:
            images = images.cache(kept)
        return images.map(shown, num_parallel_calls=os.cpu_count(), deterministic=True).prefetch(2)

    return read
