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
    problems = [_problem(image) for image in images]
    wanted = [image.image or b"" for image, problem in zip(images, problems, strict=True) if problem is None]
    sizes = iter(decoding.examine_all(wanted, max_pixels))
    return [next(sizes) if problem is None else problem for problem in problems]


def _problem(image: RawImage) -> str | None:
    """Returns why an image is not worth decoding; None if it is."""
    if image.label < 0:  # TFDS's mark for images without a label
        return NO_LABEL
    return image.problem if image.image is None else None
