"""Where the project and its output are, the prefixes of names in settings and the environment, and which files are in use.

The code is in a checkout, next to `configs/` and `schemas/`, or in a wheel, which has those in a folder of their own.
Relative paths, in settings and for the `output/` of runs, are relative to `GRAFTLINE_HOME` if that is set; else to the
checkout or, without a checkout, to the folder in which a command is run.
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
IN_WHEEL = PROJECT / "graftline_files"  # where setup.py puts the checkout's non-code files in a wheel
IS_CHECKOUT = not IN_WHEEL.is_dir()
FILES = PROJECT if IS_CHECKOUT else IN_WHEEL
CONFIGS, SCHEMAS = FILES / "configs", FILES / "schemas"
HOME = Path(os.environ.get(HOME_VARIABLE) or (PROJECT if IS_CHECKOUT else "")).expanduser().absolute()
FOLDER_PREFIX, TFDS_PREFIX = "folder:", "tfds:"  # of a dataset that is given instead of a configuration
DAY = 24 * 60 * 60  # seconds


def absolute(path: Path) -> Path:
    """Returns the absolute path of one that is absolute or relative to `HOME`; `~` is the home folder.

    Raises:
      ValueError: if that home folder is unknown.
    """
    return HOME / at_home(path)


def from_here(path: str) -> Path:
    """Returns the absolute path of one that is relative to the current folder; links are not followed.

    Raises:
      ValueError: as `at_home`.
    """
    return Path(os.path.abspath(at_home(Path(path))))  # noqa: PTH100 (resolve follows links)


def reviewed_schema(name: str) -> Path:
    """Returns the file of a reviewed schema: in `schemas/`; with a wheel, the user's own schemas are below `HOME`.

    Args:
      name: the name of the file.
    """
    ours = SCHEMAS / name
    return ours if IS_CHECKOUT or ours.is_file() else HOME / "schemas" / name


def at_home(path: Path) -> Path:
    """Returns a path with `~` or `~name` replaced by the home folder.

    Raises:
      ValueError: if there is no such user, or the user has no home folder.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError(f"the home folder {path.parts[0]} is unknown; give the full path") from None


def in_use(path: Path) -> bool:
    """Returns whether a file or folder may be in use, and so must not be removed.

    Anything touched within the last day counts as in use: whoever uses it for longer touches it.
    """
    try:
        return time.time() - path.stat().st_mtime < DAY
    except FileNotFoundError:
        return False


def size_on_disk(folders: Iterable[Path]) -> int:
    """Returns how many bytes folders take; files with several hard links count once."""
    files = {
        (status.st_dev, status.st_ino): status.st_size
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and (status := path.stat())
    }
    return sum(files.values())


def copy_tree(source: Path, target: Path) -> None:
    """Copies a folder whose files never change, by hard links if the file system supports them.

    Args:
      source: the folder.
      target: where it goes; files from an earlier try are replaced.
    """

    def link(one: str, other: str) -> None:
        Path(other).unlink(missing_ok=True)
        try:
            os.link(one, other)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link, dirs_exist_ok=True)


def aside(path: Path) -> Path:
    """Returns a temporary path next to another, to write to until the file is complete: a new one for each writer."""
    return path.with_name(f"{path.name}-{uuid.uuid4().hex}.tmp")


ProjectPath = Path  # absolute, or relative to `HOME`
