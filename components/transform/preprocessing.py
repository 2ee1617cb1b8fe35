"""Transform's `preprocessing_fn`: decode, resize, scale. The only place where pixels are touched.

Training, evaluation and serving all run this graph, so the same bytes always become the same image. What TensorFlow's
decoder does holds everywhere: greyscale, palette and CMYK images become RGB, an alpha channel is dropped, 16 bits become
8, of an animation the first frame counts, and an EXIF orientation is not applied.
"""

from typing import Any

import tensorflow as tf

from graftline.artifacts.examples import IMAGE, LABEL

CHANNELS = 3


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Makes images of one size, as the tutorial does, out of encoded ones.

    Args:
      inputs: raw features of a batch: `image`, encoded bytes [batch] or [batch, 1], and `label`, int64 of the same shape.
      custom_config: `image_size`, the edge of the square images in pixels.

    Returns:
      `image`, float32 [batch, size, size, 3] in [-1, 1], and `label`, int64 [batch].
    """
    size = custom_config["image_size"]
    encoded = tf.reshape(inputs[IMAGE], [-1])
    images = tf.map_fn(
        lambda contents: image(contents, size),
        encoded,
        fn_output_signature=tf.TensorSpec([size, size, CHANNELS], tf.float32),
    )
    return {IMAGE: images, LABEL: tf.reshape(inputs[LABEL], [-1])}


def image(contents: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes one image, resizes it bilinearly and scales it to [-1, 1].

    Args:
      contents: the encoded image, a scalar string.
      size: edge of the result, in pixels.

    Returns:
      float32 [size, size, 3].
    """
    decoded = tf.io.decode_image(contents, channels=CHANNELS, expand_animations=False)
    decoded.set_shape([None, None, CHANNELS])
    resized = tf.image.resize(tf.cast(decoded, tf.float32), [size, size], method="bilinear")
    return resized / 127.5 - 1.0
