"""Paths of folders that no library reads as a pattern, whatever the folders are called."""

import contextlib
import hashlib
import os
from pathlib import Path

from graftline.base.home import own_folder

PATTERN = frozenset("[]*?")


def without_pattern(path: Path) -> Path:
    """Returns a path that no library reads as a pattern: the folder's own, or a link in the user's temporary folder.

    Beam and TensorFlow find files by patterns that start with a folder's path, and would read `[2024]` in it as part of one.

    Args:
      path: an absolute path; the folder is created if it needs a link.

    Raises:
      ValueError: if there is no place for such a link.
    """
    if PATTERN.isdisjoint(str(path)):
        return path
    folder = own_folder()
    if folder is None or PATTERN & set(str(folder)):
        signs = " ".join(sorted(PATTERN & set(str(path))))
        raise ValueError(f"{path} contains {signs}, which libraries read as a pattern; give another path")
    path.mkdir(parents=True, exist_ok=True)
    link = folder / hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    with contextlib.suppress(FileExistsError):
        link.symlink_to(path)
    return link


def shown(path: Path) -> Path:
    """Returns a path as people should see it: the folder's own path if it was reached by a link of `without_pattern`.

    Args:
      path: an absolute path.
    """
    folder = own_folder()
    return path.resolve() if folder and path.is_relative_to(folder) else path
