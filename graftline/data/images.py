"""Looks whether an image that was read can be used."""

from graftline.base.raw_image import RawImage
from graftline.data import decoding, heic
from graftline.data.decoding import Size

NO_LABEL = "no label"


def readable(image: RawImage, max_pixels: int) -> RawImage:
    """Returns an image as TensorFlow reads it, or with why that cannot be had; arguments as of `heic.readable`."""
    found = image.problem if image.image is None else heic.readable(image.image, max_pixels)
    if isinstance(found, str):
        return image._replace(image=None, problem=found)
    return image._replace(image=found)


def examine(image: RawImage, max_pixels: int) -> Size | str:
    """Returns the size of an image that can be used, or in a few words why it cannot.

    Args:
      image: the image, as `readable` returns it.
      max_pixels: as for `decoding.refused`.
    """
    if image.label < 0:  # how TFDS marks what has no label
        return NO_LABEL
    if image.image is None:
        return image.problem
    return decoding.examine(image.image, max_pixels)
