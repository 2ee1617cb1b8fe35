"""Checks whether an image that was read can be used."""

from collections.abc import Iterable, Iterator, Sequence

from graftline.base.batches import batched
from graftline.base.raw_image import RawImage
from graftline.data import decoding, heic
from graftline.data.decoding import Size

NO_LABEL = "no label"
BATCH = 32  # encoded images that are examined in one call


def readable(image: RawImage, max_pixels: int) -> RawImage:
    """Returns an image that TensorFlow can read, or one with the reason why not; arguments as for `heic.readable`."""
    found = image.problem if image.image is None else heic.readable(image.image, max_pixels)
    if isinstance(found, str):
        return image._replace(image=None, problem=found)
    return image._replace(image=found)


def examine_all(images: Sequence[RawImage], max_pixels: int) -> list[Size | str]:
    """Returns of each image its size, or why it cannot be used, in a few words.

    Args:
      images: as `readable` returns them.
      max_pixels: as for `decoding.refused`.
    """
    problems = [_problem(image) for image in images]
    wanted = [image.image or b"" for image, problem in zip(images, problems, strict=True) if problem is None]
    sizes = iter(decoding.examine_all(wanted, max_pixels))
    return [next(sizes) if problem is None else problem for problem in problems]


def examined(images: Iterable[RawImage], max_pixels: int) -> Iterator[tuple[RawImage, Size | str]]:
    """Yields each image with what `examine_all` says of it, in order; holds only one batch of images."""
    for batch in batched(images, BATCH):
        yield from zip(batch, examine_all(batch, max_pixels), strict=True)


def _problem(image: RawImage) -> str | None:
    """Returns why an image is not worth decoding; None if it is."""
    if image.label < 0:  # TFDS's mark for images without a label
        return NO_LABEL
    return image.problem if image.image is None else None
