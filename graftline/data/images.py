"""An image on its way to an example: read from a file, and looked at."""

import os
from pathlib import Path
from typing import NamedTuple

from graftline.data import decoding
from graftline.data.decoding import Size

UNREADABLE = "file cannot be read"
NO_LABEL = "no label"
OUTSIDE = "symbolic link out of the folder"


class RawImage(NamedTuple):
    """An image on its way to an example."""

    image: bytes | None  # as encoded; None where it was not read
    label: int
    image_id: bytes
    problem: str = UNREADABLE  # why it was not read, where it was not


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


def read_file(file: tuple[bytes, int], folder: str) -> RawImage:
    """Reads an image; one that cannot be read has the reason.

    Args:
      file: its path in the folder, and its label.
      folder: no link leads out of it.
    """
    name, label = file
    path = Path(folder, os.fsdecode(name))
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        return RawImage(None, label, name, OUTSIDE)
    try:
        return RawImage(path.read_bytes(), label, name)
    except OSError:
        return RawImage(None, label, name)
