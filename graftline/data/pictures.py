"""A picture on its way to an example: read from a file, and looked at."""

import os
from pathlib import Path
from typing import NamedTuple

from graftline.data import decoding
from graftline.data.decoding import Size

UNREADABLE = "file cannot be read"
NO_LABEL = "no label"
OUTSIDE = "symbolic link out of the folder"


class Picture(NamedTuple):
    """A picture on its way to an example."""

    image: bytes | None  # as encoded; None where it was not read
    label: int
    image_id: bytes
    problem: str = UNREADABLE  # why it was not read, where it was not


def examine(picture: Picture, max_pixels: int) -> Size | str:
    """Returns the size of a picture that can be used, or in a few words why it cannot.

    Args:
      picture: the picture.
      max_pixels: as for `decoding.refused`.
    """
    if picture.label < 0:  # how TFDS marks what has no label
        return NO_LABEL
    if picture.image is None:
        return picture.problem
    return decoding.examine(picture.image, max_pixels)


def read_file(file: tuple[bytes, int], folder: str) -> Picture:
    """Reads a picture; one that cannot be read has the reason.

    Args:
      file: its path in the folder, and its label.
      folder: no link leads out of it.
    """
    name, label = file
    path = Path(folder, os.fsdecode(name))
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        return Picture(None, label, name, OUTSIDE)
    try:
        return Picture(path.read_bytes(), label, name)
    except OSError:
        return Picture(None, label, name)
