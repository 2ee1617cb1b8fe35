"""Tells which bytes are an image, and in a few words why others are none.

Only TensorFlow's own decoder decides, the operation that training and serving use too.
"""

import io
import struct
from typing import NamedTuple

import imagesize
import tensorflow as tf

EMPTY = "empty file"
NOT_AN_IMAGE = "not an image format TensorFlow reads"
CORRUPT = "truncated or corrupt"
TOO_LARGE = "more pixels than data.max_pixels allows"


class Size(NamedTuple):
    """Size of a decoded image in pixels."""

    width: int
    height: int


def refused(image: bytes, max_pixels: int) -> str | None:
    """Returns why an image is not even decoded; None where it is worth trying.

    Args:
      image: the image as it is encoded.
      max_pixels: what its header may claim; more is refused before any memory is taken for it.
    """
    if not image:
        return EMPTY
    return TOO_LARGE if _claimed_pixels(image) > max_pixels else None


def examine(image: bytes, max_pixels: int) -> Size | str:
    """Returns the size of an image that can be used, or why it cannot.

    Args:
      image: the image as it is encoded, which is decoded here.
      max_pixels: as for `refused`.
    """
    reason = refused(image, max_pixels)
    if reason:
        return reason
    try:
        decoded = tf.io.decode_image(image, channels=3, expand_animations=False)
    except tf.errors.OpError as error:
        unknown = "Unknown image file format" in error.message or "WebP Animation" in error.message
        return NOT_AN_IMAGE if unknown else CORRUPT
    height, width, _ = decoded.shape
    return Size(width, height)


def _claimed_pixels(image: bytes) -> int:
    """Returns width times height as the header has it; 0 where there is none, which the decoder will tell."""
    try:
        width, height = imagesize.get(io.BytesIO(image))
    except (ValueError, struct.error, TypeError, IndexError):
        return 0
    return max(width, 0) * max(height, 0)
