"""An image on its way to an example, as it was read."""

import os
from pathlib import Path
from typing import NamedTuple

UNREADABLE = "file cannot be read"


class RawImage(NamedTuple):
    """An image on its way to an example."""

    image: bytes | None  # as encoded; None where it was not read
    label: int
    image_id: bytes
    problem: str = UNREADABLE  # why it was not read, where it was not
    split: str = ""  # that the dataset itself gives it; empty where it gives none


def read_file(file: tuple[bytes, int], folder: str) -> RawImage:
    """Reads an image; one that cannot be read has the reason. Links are followed, wherever they lead.

    Args:
      file: its path in the folder, and its label.
      folder: that of the dataset.
    """
    name, label = file
    try:
        return RawImage(Path(folder, os.fsdecode(name)).read_bytes(), label, name)
    except OSError:
        return RawImage(None, label, name)
