"""The folders that a run writes to, which are tried before its first component: a training takes long."""

import errno
import os
import tempfile
from pathlib import Path

from graftline.base.errors import UserError
from graftline.runs import store
from graftline.serving import pushes
from graftline.settings.settings import Settings


def check(settings: Settings) -> None:
    """Writes to each folder of a run, and makes those that are not there.

    Args:
      settings: those of the run.

    Raises:
      UserError: where that is not allowed, there is something else in a folder's place, or the metadata store is damaged.
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
            raise UserError(
                f"{file} cannot be written by user {pushes.user()}: let that user write it, or move it away."
            )
    if settings.metadata is None:
        store.check(settings.metadata_path)


def _try(folder: Path, setting: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise  # whose cure is another one
        raise UserError(
            f"{folder} cannot be written by user {pushes.user()} ({error.strerror}): let that user write it, or set "
            f"{setting} to another folder."
        ) from None
