"""A home folder for a user who has none, such as a user id that is in no password file, and a private temporary folder."""

import contextlib
import os
import tempfile
from pathlib import Path


def ensure() -> None:
    """Gives this process and its children a home folder if there is none: without one, some libraries cannot be imported."""
    if os.path.expanduser("~") == "~":  # noqa: PTH111 (pathlib raises)
        os.environ["HOME"] = str(own_folder() or tempfile.mkdtemp(prefix="graftline-"))


def own_folder() -> Path | None:
    """Returns the user's own temporary folder, which nobody else can have filled; None if there is none."""
    folder = Path(tempfile.gettempdir(), f"graftline-{os.getuid()}")
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_symlink() and folder.is_dir() and folder.stat().st_uid == os.getuid():
            return folder
    return None
