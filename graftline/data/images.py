"""Looks whether an image that was read can be used."""

from graftline.base.raw_image import RawImage
from graftline.data import decoding
from graftline.data.decoding import Size

NO_LABEL = "no label"


def examine(image: RawImage, max_pixels: int) -> Size | str:
    """Returns the size of an image that can be used, or in a few words why it cannot.

    Args:
      image: the image.
      max_pixels: as for `decoding.refused`.
    """
    if image.label < 0:  # how TFDS marks what has no label
        return NO_LABEL
    if image.image is None:
        return image.problem
    return decoding.examine(image.image, max_pixels)
