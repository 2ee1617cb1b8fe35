"""Folders by names in which no library sees a pattern, whatever they are called."""

import contextlib
import hashlib
import os
from pathlib import Path

from graftline.base.home import own_folder

PATTERN = frozenset("[]*?")


def without_pattern(path: Path) -> Path:
    """Returns a folder by a path that stands for itself alone: its own, or a link to it in the user's temporary folder.

    Beam and TensorFlow look for files by patterns that begin with a folder's path, and take `[2024]` in it for one too.

    Args:
      path: an absolute path; the folder is made where a link to it is.

    Raises:
      ValueError: where there is no place for such a link.
    """
    if PATTERN.isdisjoint(str(path)):
        return path
    folder = own_folder()
    if folder is None or PATTERN & set(str(folder)):
        signs = " ".join(sorted(PATTERN & set(str(path))))
        raise ValueError(f"{path} holds {signs}, which libraries take for a pattern; give another path")
    path.mkdir(parents=True, exist_ok=True)
    link = folder / hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(path)
    return link


def shown(path: Path) -> Path:
    """Returns a path as people are shown it: the folder's own where it was reached by a link of `without_pattern`.

    Args:
      path: an absolute path.
    """
    folder = own_folder()
    return path.resolve() if folder and path.is_relative_to(folder) else path
