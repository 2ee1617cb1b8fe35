"""The work directory: what outlives a run that failed, cached features and checkpoints, and how much of it is kept."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import filelock

from settings import UserError

KINDS = ("features", "checkpoints")


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
        with filelock.FileLock(root / "run.lock", blocking=False):
            yield
    except filelock.Timeout:
        raise UserError(
            f"Another run is using {root}: wait for it to end, or set run.root to another folder."
        ) from None
