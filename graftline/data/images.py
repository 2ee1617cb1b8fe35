"""Checks whether an image that was read can be used."""

from collections.abc import Sequence

from graftline.base.raw_image import RawImage
from graftline.data import decoding, heic
from graftline.data.decoding import Size

NO_LABEL = "no label"


def readable(image: RawImage, max_pixels: int) -> RawImage:
    """Returns an image that TensorFlow can read, or one with the reason why not; arguments as for `heic.readable`."""
    found = image.problem if image.image is None else heic.readable(image.image, max_pixels)
    if isinstance(found, str):
        return image._replace(image=None, problem=found)
    return image._replace(image=found)


def examine(image: RawImage, max_pixels: int) -> Size | str:
    """Returns the size of an image that can be used, or why it cannot, in a few words.

    Args:
      image: the image, as `readable` returns it.
      max_pixels: as for `decoding.refused`.
    """
    (found,) = examine_all([image], max_pixels)
    return found


def examine_all(images: Sequence[RawImage], max_pixels: int) -> list[Size | str]:
    """Examines several images as `examine` does, in less time."""
    wanted = [image.image for image in images if image.label >= 0 and image.image is not None]
    sizes = iter(decoding.examine_all(wanted, max_pixels))
    return [_problem(image) or next(sizes) for image in images]


def _problem(image: RawImage) -> str:
    """Returns why an image is not worth decoding; empty if it is."""
    if image.label < 0:  # TFDS's mark for images without a label
        return NO_LABEL
    return image.problem if image.image is None else ""
