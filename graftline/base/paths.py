"""Where the project lies, what names in settings and the environment begin with, and what files are in use."""

import os
import shutil
import time
import uuid
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SCHEMAS = PROJECT / "schemas"  # the reviewed ones
PREFIX = "GRAFTLINE_"
FOLDER_PREFIX, TFDS_PREFIX = "folder:", "tfds:"  # of a dataset that is given without a configuration
DAY = 24 * 60 * 60  # seconds


def absolute(path: Path) -> Path:
    """Returns a path that is absolute, or relative to the project, as an absolute one; `~` is the home folder.

    Raises:
      ValueError: where nobody knows that home folder.
    """
    expanded = at_home(path)
    return expanded if expanded.is_absolute() else PROJECT / expanded


def at_home(path: Path) -> Path:
    """Returns a path with the home folder in place of `~` or `~name`.

    Raises:
      ValueError: where there is no such user, or the user has no home folder.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"the home folder {path.parts[0]} is not known; write the whole path") from None


def in_use(path: Path) -> bool:
    """Tells whether somebody may be using a file or a folder, which is not to be removed then.

    Whatever was touched within a day counts as used: who uses something for longer touches it.
    """
    try:
        return time.time() - path.stat().st_mtime < DAY
    except FileNotFoundError:
        return False


def copy_tree(source: Path, target: Path) -> None:
    """Copies a folder whose files nobody changes: by hard links where the file system has them.

    Args:
      source: the folder.
      target: where it goes; what is there of an earlier try is replaced.
    """

    def link(one: str, other: str) -> None:
        Path(other).unlink(missing_ok=True)
        try:
            os.link(one, other)
        except OSError:  # another file system, or one without links
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def aside(path: Path) -> Path:
    """Returns the path beside another one that it is written under until it is whole: a new one for each writer."""
    return path.with_name(f"{path.name}-{uuid.uuid4().hex}.tmp")


ProjectPath = Path  # absolute, or relative to the project
