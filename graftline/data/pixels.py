"""Decodes images to pixels, for the Transform graph and everything else that looks at images."""

import functools

import tensorflow as tf

from graftline.data import headers

CHANNELS = 3
RATIOS = 1, 2, 4, 8  # factors by which the JPEG decoder can shrink, in a fraction of the time
COVER = 2  # 2 keeps 36 to 44 dB of a full decoding, 1 keeps 30 to 40; a full decoding is 33 to 40 dB from Lanczos


def decode(contents: tf.Tensor, max_pixels: int | tf.Tensor) -> tf.Tensor:
    """Decodes one image without turning it; of an animation, the first frame.

    Args:
      contents: the encoded image, a scalar string.
      max_pixels: how many pixels its header may claim; more raise InvalidArgumentError before memory is allocated.

    Returns:
      uint8 [height, width, 3].
    """
    decoded = tf.io.decode_image(_allowed(contents, max_pixels), channels=CHANNELS, expand_animations=False)
    decoded.set_shape([None, None, CHANNELS])
    return decoded


def _allowed(contents: tf.Tensor, max_pixels: int | tf.Tensor) -> tf.Tensor:
    claimed, encoded = headers.read(contents)
    most = tf.cast(max_pixels, tf.int64)
    said = ["The image claims more pixels than data.max_pixels allows:", claimed, "over", most]
    with tf.control_dependencies([tf.debugging.Assert(claimed <= most, said)]):
        return tf.identity(encoded)  # keeps the check from being pruned


def resized(contents: tf.Tensor, size: int, antialias: bool, max_pixels: int) -> tf.Tensor:
    """Decodes one image and resizes it to a square.

    Args:
      contents: the encoded image, a scalar string.
      size: edge of the square, in pixels.
      antialias: whether all pixels of the image count; otherwise each pixel of the square comes from four.
      max_pixels: as for `decode`.

    Returns:
      float32 [size, size, 3] in [0, 255].
    """
    decoded = _shrunk(contents, size, max_pixels) if antialias else decode(contents, max_pixels)
    return tf.image.resize(tf.cast(decoded, tf.float32), [size, size], method="bilinear", antialias=antialias)


def _shrunk(contents: tf.Tensor, size: int, max_pixels: int) -> tf.Tensor:
    """Decodes one image; a JPEG at 1/2, 1/4 or 1/8 of its size if that is still at least COVER times the square's."""
    encoded = _allowed(contents, max_pixels)

    def jpeg() -> tf.Tensor:
        shorter = tf.reduce_min(tf.image.extract_jpeg_shape(encoded)[:2])
        halvings = tf.add_n([tf.cast(shorter >= COVER * size * ratio, tf.int32) for ratio in RATIOS[1:]])
        at = [functools.partial(tf.io.decode_jpeg, encoded, channels=CHANNELS, ratio=ratio) for ratio in RATIOS]
        return tf.switch_case(halvings, at)

    def other() -> tf.Tensor:
        return tf.io.decode_image(encoded, channels=CHANNELS, expand_animations=False)

    decoded = tf.cond(headers.kind(encoded) == headers.JPEG, jpeg, other)
    decoded.set_shape([None, None, CHANNELS])
    return decoded
