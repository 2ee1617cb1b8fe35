"""Where the project and its output lie, what names in settings and the environment begin with, and what files are in use.

The code is in a checkout, beside `configs/` and `schemas/`, or it came in a wheel, which has those in a folder of their own.
What is relative, paths in settings and the `output/` of runs, is so to `GRAFTLINE_HOME` where that is given; else to the
checkout or, where there is none, to the folder that a command is called in.
"""

import os
import shutil
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

PREFIX = "GRAFTLINE_"
HOME_VARIABLE = PREFIX + "HOME"
PROJECT = Path(__file__).resolve().parents[2]  # where the code is: the checkout, or the folder a wheel is installed in
IN_WHEEL = PROJECT / "graftline_files"  # what of the checkout is no code, where setup.py puts it into a wheel
IS_CHECKOUT = not IN_WHEEL.is_dir()
FILES = PROJECT if IS_CHECKOUT else IN_WHEEL
CONFIGS, SCHEMAS = FILES / "configs", FILES / "schemas"
HOME = Path(os.environ.get(HOME_VARIABLE) or (PROJECT if IS_CHECKOUT else "")).expanduser().absolute()
FOLDER_PREFIX, TFDS_PREFIX = "folder:", "tfds:"  # of a dataset that is given without a configuration
DAY = 24 * 60 * 60  # seconds


def absolute(path: Path) -> Path:
    """Returns a path that is absolute, or relative to `HOME`, as an absolute one; `~` is the home folder.

    Raises:
      ValueError: where nobody knows that home folder.
    """
    return HOME / at_home(path)


def from_here(path: str) -> Path:
    """Returns a path as an absolute one, seen from the folder that the user is in; no link is followed.

    Raises:
      ValueError: as `at_home`.
    """
    return Path(os.path.abspath(at_home(Path(path))))  # noqa: PTH100 (resolve follows links)


def reviewed_schema(name: str) -> Path:
    """Returns the file of a reviewed schema: in `schemas/`; in a wheel those are not one's own, which are below `HOME`.

    Args:
      name: of the file.
    """
    ours = SCHEMAS / name
    return ours if IS_CHECKOUT or ours.is_file() else HOME / "schemas" / name


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


def size_on_disk(folders: Iterable[Path]) -> int:
    """Returns the bytes that folders take; what lies there twice by hard links counts once."""
    files = {
        (status.st_dev, status.st_ino): status.st_size
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and (status := path.stat())
    }
    return sum(files.values())


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


ProjectPath = Path  # absolute, or relative to `HOME`
