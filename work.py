"""The work directory: what outlives a run that failed, cached features and checkpoints, and how much of it is kept."""

import shutil
from pathlib import Path

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
