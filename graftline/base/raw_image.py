"""An image that was read and is not an example yet."""

import os
from pathlib import Path
from typing import NamedTuple

UNREADABLE = "file cannot be read"


class RawImage(NamedTuple):
    """An image that is not an example yet."""

    image: bytes | None  # as encoded; None if it was not read
    label: int
    image_id: bytes
    problem: str = UNREADABLE  # why it was not read, if it was not
    split: str = ""  # the dataset's own; empty if the dataset has no splits


def read_file(file: tuple[bytes, int], folder: str) -> RawImage:
    """Reads an image; one that cannot be read gets the reason. Links are followed, wherever they lead.

    Args:
      file: its path in the folder, and its label.
      folder: the folder of the dataset.
    """
    name, label = file
    try:
        return RawImage(Path(folder, os.fsdecode(name)).read_bytes(), label, name)
    except OSError:
        return RawImage(None, label, name)
