"""Files below a folder of photos, each of them once: images, files that are left out, with the reason, and clutter.

Links are followed wherever they lead, because somebody put them there, except those that lead back to a folder they are in.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

LATEST, SPAN = "latest", "span-"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".heic", ".heif", ".hif"})
UNSEEN = frozenset({"@eadir", "__macosx"})  # folders that a NAS and macOS hide without a leading dot
SYSTEM = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)  # files that Windows and macOS leave everywhere

# Why a file is left out, unless its suffix is the reason
NO_SUFFIX = "no suffix"
DANGLING, LOOP = "symbolic link to nothing", "symbolic link to a folder that contains it"
# Files that are not looked at
HIDDEN, LITTER = "in hidden folders", "hidden or system files"


@dataclass
class Found:
    """What is below a folder.

    Attributes:
      images: image files, sorted.
      others: files that are left out, with the reason.
      skipped: how many files are not looked at, by kind.
    """

    images: list[Path] = field(default_factory=list)
    others: dict[Path, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)


def span_folder(root: Path, span: str) -> Path:
    """Returns a span's folder, or the folder itself if it has no spans and `span` is not a number.

    Args:
      root: a folder of photos, or one that contains folders `span-1`, `span-2`, …
      span: a number, or `latest`.
    """
    if span != LATEST:
        return root / f"{SPAN}{span}"
    names = [path.name.removeprefix(SPAN) for path in root.glob(f"{SPAN}*") if path.is_dir()]
    numbers = [name for name in names if name.isdigit()]  # skips a span that is still being written under another name
    return root / f"{SPAN}{max(numbers, key=int)}" if numbers else root


def folders_in(folder: Path) -> list[Path]:
    """Returns the folders in a folder, sorted by name, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in UNSEEN


def image_files(folder: Path) -> list[Path]:
    """Returns the image files below a folder, sorted."""
    return walk(folder).images


def walk(folder: Path, *within: Path) -> Found:
    """Returns what is below a folder, at any depth.

    Args:
      folder: the folder to search.
      within: folders that contain it; a link back to one of them is not followed.
    """
    found = Found()
    _enter(folder, tuple(map(_identity, within)), found)
    found.images.sort()
    return found


def beside(folder: Path) -> Found:
    """Returns the files directly in a folder, and those in its hidden folders."""
    found = Found()
    for path in folder.iterdir():
        if not path.is_dir() or _is_hidden(path.name):
            _sort(path, found)
    return found


def _enter(folder: Path, above: tuple[tuple[int, int], ...], found: Found) -> None:
    """Adds what is below a folder.

    Args:
      folder: the folder to search.
      above: the folders that contain it, by device and inode.
      found: what to add to.
    """
    identity = _identity(folder)
    if identity in above:
        found.others[folder] = LOOP
        return
    for path in folder.iterdir():
        if path.is_dir() and not _is_hidden(path.name):
            _enter(path, (*above, identity), found)
        else:
            _sort(path, found)


def _sort(path: Path, found: Found) -> None:
    """Adds a file, or a hidden folder."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if path.is_dir():
        found.skipped[HIDDEN] += sum(len(files) for _, _, files in os.walk(path))
    elif name in SYSTEM or name.startswith("."):
        found.skipped[LITTER] += 1
    elif not path.exists():
        found.others[path] = DANGLING
    elif suffix in IMAGE_SUFFIXES and path.is_file():
        found.images.append(path)
    else:
        found.others[path] = suffix or NO_SUFFIX


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def unreadable(folder: Path) -> Path | None:
    """Returns a folder that is not readable, this one or one below it; None if all are readable."""
    return next((path for path in _folders(folder) if not os.access(path, os.R_OK | os.X_OK)), None)


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, names, _ in os.walk(folder):
        names[:] = [name for name in names if not _is_hidden(name)]
        yield from (Path(parent, name) for name in names)


def files_fingerprint(folder: Path, files: Iterable[Path]) -> str:
    """Returns a hash that changes when one of a folder's files does, by name, size and time."""
    found = hashlib.sha256()
    for path in files:
        found.update(f"{path.relative_to(folder)}\0{_status(path)}\n".encode(errors="surrogateescape"))
    return found.hexdigest()


def _status(path: Path) -> str:
    """Returns a file's size and time; for a dangling link, the link's own; empty if the file is gone meanwhile."""
    try:
        status = path.stat() if path.exists() else path.lstat()
    except FileNotFoundError:
        return ""
    return f"{status.st_size}\0{status.st_mtime_ns}"
