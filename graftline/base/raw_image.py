"""An image on its way to an example, as it was read."""

import os
from pathlib import Path
from typing import NamedTuple

from graftline.base.photos import IMAGE_SUFFIXES

UNREADABLE = "file cannot be read"
OTHER = "a {}, which is not read"


class RawImage(NamedTuple):
    """An image on its way to an example."""

    image: bytes | None  # as encoded; None where it was not read
    label: int
    image_id: bytes
    problem: str = UNREADABLE  # why it was not read, where it was not


def read_file(file: tuple[bytes, int], folder: str) -> RawImage:
    """Reads an image; one that cannot be read has the reason.

    Args:
      file: its path in the folder, and its label.
      folder: that the path is relative to.
    """
    name, label = file
    path = Path(folder, os.fsdecode(name))
    if (suffix := path.suffix.lower()) not in IMAGE_SUFFIXES:
        return RawImage(None, label, name, OTHER.format(f"{suffix} file" if suffix else "file without a suffix"))
    try:
        return RawImage(path.read_bytes(), label, name)
    except OSError:
        return RawImage(None, label, name)
