"""Tries the folders that a run writes to before its first component, because training takes long."""

import errno
import os
import tempfile
from pathlib import Path

from graftline.base.errors import UserError
from graftline.runs import store
from graftline.serving import pushes
from graftline.settings.settings import Settings


def check(settings: Settings) -> None:
    """Writes to each folder of a run, and makes missing ones.

    Args:
      settings: the run's settings.

    Raises:
      UserError: if a folder is not writable, something else is in its place, or the metadata store is damaged.
    """
    root = settings.run.root
    of_root = [root, settings.pipeline_root, settings.work_dir]
    if settings.metadata is None:
        of_root += [settings.metadata_path.parent, root / "locks"]
    for setting, folders in {"run.root": of_root, "run.serving_dir": [settings.push_dir]}.items():
        for folder in folders:
            _try(folder, setting)
    for file in (settings.metadata_path, settings.push_dir / pushes.PUSHES):
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            raise UserError(f"User {pushes.user()} cannot write to {file}: let that user write to it, or move it away.")
    if settings.metadata is None:
        store.check(settings.metadata_path)


def _try(folder: Path, setting: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise  # a full disk has another fix
        raise UserError(
            f"User {pushes.user()} cannot write to {folder} ({error.strerror}): let that user write to it, or set "
            f"{setting} to another folder."
        ) from None
