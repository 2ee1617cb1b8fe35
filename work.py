"""The work of a run: what outlives one that failed, how much of it is kept, one run at a time, and its end when asked."""

import contextlib
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import filelock
import psutil

from settings import UserError

KINDS = ("features", "checkpoints", "tuning")
LOCK = "run.lock"

_asked_to_stop: list[int] = []  # signals so far


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


def stop_when_asked() -> None:
    """Turns Ctrl-C and SIGTERM into KeyboardInterrupt, which is remembered for `heed`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ask)


def _ask(number: int, frame: FrameType | None) -> None:
    _asked_to_stop.append(number)
    raise KeyboardInterrupt


def heed() -> None:
    """Stops a run that was asked to.

    Raises:
      KeyboardInterrupt: where one came before and was lost, as Python drops what is raised in a finalizer or a callback.
    """
    if _asked_to_stop:
        raise KeyboardInterrupt
