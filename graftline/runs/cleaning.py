"""Forgets all runs below a root: what they made, what is known of them, and what they left for later ones."""

import shutil
from pathlib import Path

import filelock

from graftline.base.errors import UserError
from graftline.base.paths import size_on_disk
from graftline.runs.lock import RUN

# Datasets, weights, pushed models and what a person has accepted stay
FORGOTTEN = ("pipelines", "metadata", "work", "tensorboard", "schemas", "tfx")


def folders(root: Path) -> list[Path]:
    """Returns what `clean` would remove.

    Args:
      root: `run.root`.
    """
    return [folder for name in FORGOTTEN if (folder := root / name).exists()]


def size(root: Path) -> int:
    """Returns how many bytes `clean` would free."""
    return size_on_disk(folders(root))


def clean(root: Path) -> None:
    """Removes it.

    Args:
      root: `run.root`.

    Raises:
      UserError: where a run of one of its pipelines goes on.
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
        raise UserError(f"A run of {name} in {root} is going on: wait for its end, or stop it.") from None
    finally:
        for lock in held:
            lock.release()
