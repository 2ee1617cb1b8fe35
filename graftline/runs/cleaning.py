"""Forgets all runs below a root: their artifacts, their metadata, and what they left for later runs."""

import shutil
from pathlib import Path

import filelock

from graftline.base.errors import UserError
from graftline.base.paths import size_on_disk
from graftline.runs.lock import RUN

# Datasets, weights, pushed models and acceptances stay
FORGOTTEN = ("pipelines", "metadata", "work", "tensorboard", "schemas", "tfx")


def folders(root: Path) -> list[Path]:
    """Returns the folders that `clean` would remove.

    Args:
      root: `run.root`.
    """
    return [folder for name in FORGOTTEN if (folder := root / name).exists()]


def size(root: Path) -> int:
    """Returns how many bytes `clean` would free."""
    return size_on_disk(folders(root))


def clean(root: Path) -> None:
    """Removes these folders.

    Args:
      root: `run.root`.

    Raises:
      UserError: if a run of one of its pipelines is going on.
    """
    held: list[filelock.FileLock] = []
    try:
        for path in sorted((root / "locks").glob(f"*.{RUN}.lock")):
            lock = filelock.FileLock(path, timeout=0)
            lock.acquire()
            held.append(lock)
        for folder in folders(root):
            shutil.rmtree(folder)
    except filelock.Timeout as error:
        name = Path(error.lock_file).name.removesuffix(f".{RUN}.lock")
        raise UserError(f"A run of {name} in {root} is going on: wait for it to end, or stop it.") from None
    finally:
        for lock in held:
            lock.release()
