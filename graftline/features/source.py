"""The source of the pass over the images: the examples of a split, through the Transform graph and a view."""

import os
from collections.abc import Callable

import tensorflow as tf
import tensorflow_transform as tft

from graftline.artifacts.examples import IMAGE, LABEL
from graftline.features import views
from graftline.features.cache import Source

PASS_BATCH = 32  # images that the prefix takes at once; a shard holds whole batches
# From the first example and a number of examples to serialized tf.Examples
Examples = Callable[[int, int], tf.data.Dataset]
Decoder = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]  # from serialized tf.Examples to images and labels


def decoder(transform: tft.TFTransformOutput) -> Decoder:
    """Returns a function that runs the Transform graph on serialized tf.Examples, traced once for all views and splits."""
    spec = {feature: transform.raw_feature_spec()[feature] for feature in (IMAGE, LABEL)}
    transform_layer = transform.transform_features_layer()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        transformed = transform_layer(tf.io.parse_example(serialized, spec))
        return transformed[IMAGE], transformed[LABEL]

    return decode


def source(examples: Examples, decode: Decoder, name: str, kept: str | None = None) -> Source:
    """Returns a function that reads the examples of a split as images and labels.

    Args:
      examples: reads the serialized examples.
      decode: the result of `decoder`.
      name: name of the view.
      kept: a file that caches the decoded images of a whole split for the next view; None caches nothing.
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
