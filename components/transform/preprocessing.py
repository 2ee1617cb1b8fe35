"""Transform's `preprocessing_fn`: decodes, resizes and scales images. It is the only place that touches pixels.

Training, evaluation and serving all run this graph, so the same bytes always become the same image. TensorFlow's decoder
behaves the same everywhere: greyscale, palette and CMYK images become RGB, an alpha channel is dropped, 16 bits become 8,
and of an animation the first frame counts. An image is turned as its EXIF orientation says, and one whose header claims
more than `data.max_pixels` is refused before any memory is allocated for it.
"""

from typing import Any

import tensorflow as tf

from graftline.artifacts.examples import IMAGE, LABEL
from graftline.data.orientation import orientations, turned
from graftline.data.pixels import CHANNELS, resized


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Turns encoded images into images of one size, as the tutorial does.

    Args:
      inputs: raw features of a batch: `image`, encoded bytes [batch] or [batch, 1], and `label`, int64 of the same shape.
      custom_config: `image_size`, the edge of the square images in pixels; `resize`, as in `model.resize`; `max_pixels`,
        how many pixels an image may claim.

    Returns:
      `image`, float32 [batch, size, size, 3] in [-1, 1], and `label`, int64 [batch].
    """
    size = custom_config["image_size"]
    encoded = tf.reshape(inputs[IMAGE], [-1])
    images = tf.map_fn(
        lambda contents: image(contents, **custom_config),
        encoded,
        fn_output_signature=tf.TensorSpec([size, size, CHANNELS], tf.float32),
    )
    return {IMAGE: turned(images, orientations(encoded)), LABEL: tf.reshape(inputs[LABEL], [-1])}


def image(contents: tf.Tensor, image_size: int, resize: str, max_pixels: int) -> tf.Tensor:
    """Decodes one image, resizes it and scales it to [-1, 1], without turning it.

    Args:
      contents: the encoded image, a scalar string.
      image_size: edge of the result, in pixels.
      resize: `bilinear` or `antialias`.
      max_pixels: how many pixels its header may claim.

    Returns:
      float32 [size, size, 3].
    """
    return resized(contents, image_size, resize == "antialias", max_pixels) / 127.5 - 1.0
