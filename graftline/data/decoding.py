"""Decides which bytes are a usable image, and says in a few words why others are not.

Only TensorFlow's own decoder decides, after the same header check as in the Transform graph: an image that is accepted here
can be trained on and served.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from graftline.data import headers, orientation, pixels

EMPTY = "empty file"
NOT_AN_IMAGE = "not an image format TensorFlow reads"
CORRUPT = "truncated or corrupt"
TOO_LARGE = "more pixels than data.max_pixels allows"
AT_ONCE = 2  # images decoded in parallel: one of 50 megapixels takes 150 MB


class Size(NamedTuple):
    """Size of a decoded image in pixels, upright."""

    width: int
    height: int


def refused(image: bytes, max_pixels: int) -> str | None:
    """Returns why an image is refused before decoding; None if it may be decoded.

    Args:
      image: the encoded image.
      max_pixels: how many pixels its header may claim; more are refused before any memory is allocated.
    """
    found = _read(image, max_pixels)
    return found if isinstance(found, str) else None


def examine(image: bytes, max_pixels: int) -> Size | str:
    """Returns the size of an image that can be used, or why it cannot.

    Args:
      image: the encoded image, which is decoded here.
      max_pixels: as for `refused`.
    """
    encoded = _read(image, max_pixels)
    if isinstance(encoded, str):
        return encoded
    try:
        height, width, _ = _decode(encoded).shape
    except tf.errors.OpError as error:
        unknown = "Unknown image file format" in error.message or "WebP Animation" in error.message
        return NOT_AN_IMAGE if unknown else CORRUPT
    return _turned(image, height, width)


def examine_all(images: Sequence[bytes], max_pixels: int) -> list[Size | str]:
    """Examines several images as `examine` does, in less time if all of them can be used; arguments as there."""
    try:
        shapes = _shapes(tf.constant(images, tf.string), max_pixels).numpy().tolist()
    except tf.errors.OpError:  # says nothing about the others
        return [examine(image, max_pixels) for image in images]
    return [_turned(image, height, width) for image, (height, width) in zip(images, shapes, strict=True)]


def _turned(image: bytes, height: int, width: int) -> Size:
    return Size(height, width) if oriented(image) in orientation.SWAPPED else Size(width, height)


def oriented(image: bytes) -> int:
    """Returns the orientation, 1 to 8, that the Transform graph finds in an encoded image."""
    if not any(name in image for name in orientation.NAMES):
        return orientation.UPRIGHT  # a shortcut: most images have no EXIF block
    return int(_orientation(tf.constant(image)))


def upright(image: bytes) -> np.ndarray:
    """Decodes an image as people and the network see it.

    Args:
      image: an encoded image that was examined.

    Returns:
      uint8 [height, width, 3].
    """
    return orientation.upright(_decode(_read(image, tf.int64.max)), oriented(image)).numpy()


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    # Not `pixels.decode`: outside a graph, its header check would be traced again for every image
    return tf.io.decode_image(encoded, pixels.CHANNELS, expand_animations=False)


def _read(image: bytes, max_pixels: int) -> tf.Tensor | str:
    """Returns the part of an image to decode, or why it is refused."""
    if not image:
        return EMPTY
    try:
        # Most are JPEGs: the same operation as in the graph, in a tenth of the time
        encoded = tf.constant(image)
        if image.startswith(headers.MAGIC[headers.JPEG]):
            height, width, _ = tf.image.extract_jpeg_shape(encoded).numpy().tolist()
            claimed = height * width
        else:
            claimed, encoded = _header(encoded)
    except tf.errors.OpError:
        return CORRUPT
    return TOO_LARGE if int(claimed) > max_pixels else encoded


@tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int64)], autograph=False)
def _shapes(images: tf.Tensor, max_pixels: tf.Tensor) -> tf.Tensor:
    """Returns height and width of decoded images, int32 [n, 2]: one call, so that decoding does not wait for Python."""
    return tf.map_fn(
        lambda image: tf.shape(pixels.decode(image, max_pixels))[:2],
        images,
        parallel_iterations=AT_ONCE,
        fn_output_signature=tf.TensorSpec([2], tf.int32),
    )


_header = tf.function(headers.read, [tf.TensorSpec([], tf.string)], autograph=False)


@tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
def _orientation(contents: tf.Tensor) -> tf.Tensor:
    return orientation.orientations(contents[None])[0]
