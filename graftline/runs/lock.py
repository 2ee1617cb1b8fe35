"""The work of a run: what outlives one that failed, how much of it is kept, and one run at a time."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock
import psutil

from graftline.base.errors import UserError

KINDS = ("features", "checkpoints", "tuning")
LOCK = "run.lock"


def prune(work_dir: Path, keep: int) -> None:
    """Removes all but the latest used folders of each kind.

    Args:
      work_dir: the work directory.
      keep: how many of each kind stay.
    """
    for kind in KINDS:
        folders = sorted((work_dir / kind).glob("*"), key=lambda folder: folder.stat().st_mtime)
        for folder in folders[:-keep]:
            shutil.rmtree(folder)


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keeps other runs and rollbacks out of a folder; the lock ends with this process, however that ends.

    Args:
      root: folder of everything that runs make.

    Raises:
      UserError: where another process is in it.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(root / LOCK, blocking=False):
            yield
    except filelock.Timeout:
        raise UserError(
            f"Another run is using {root}: wait for it to end, or set run.root to another folder."
        ) from None


def holder(root: Path) -> psutil.Process | None:
    """Returns the process that keeps others out of a folder, as far as this user may see it; None where there is none.

    Args:
      root: folder of everything that runs make.
    """
    lock, found = str((root / LOCK).resolve()), []
    for process in psutil.process_iter():
        try:
            if any(file.path == lock for file in process.open_files()):
                found.append((process.create_time(), process.pid, process))
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return min(found)[-1] if found else None  # those that it has forked hold the lock too
