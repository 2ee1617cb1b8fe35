"""An image on its way to an example, as it was read."""

import os
from pathlib import Path
from typing import NamedTuple

UNREADABLE = "file cannot be read"
OUTSIDE = "symbolic link out of the folder"


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
