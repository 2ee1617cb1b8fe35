"""A folder of photos: a folder a class, with several of them where it has spans; and what is wrong with one."""

import hashlib
import os
from collections import Counter
from pathlib import Path

LATEST, SPAN = "latest", "span-"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"})
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})
NOT_OF_A_USER = frozenset({"@eaDir", "__MACOSX"})  # folders that systems write beside photos, with thumbnails or worse
LITTER = frozenset({"thumbs.db", "desktop.ini"})  # files of systems, which nobody misses
MIN_IMAGES = 2  # of a class: one to learn from, one to be tested on
SHOWN = 5  # names in a message


def span_folder(root: Path, span: str) -> Path:
    """Returns a span's folder, or the folder itself where it has no spans and none is asked for by number.

    Args:
      root: a folder of photos, or one that holds folders `span-1`, `span-2`, …
      span: a number, or `latest`.
    """
    if span != LATEST:
        return root / f"{SPAN}{span}"
    names = [path.name.removeprefix(SPAN) for path in root.glob(f"{SPAN}*") if path.is_dir()]
    numbers = [name for name in names if name.isdigit()]  # not one that is still being written under another name
    return root / f"{SPAN}{max(numbers, key=int)}" if numbers else root


def class_folders(folder: Path) -> list[Path]:
    """Returns the folders of a dataset's classes, sorted by name; hidden ones do not count."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path.name))


def image_files(folder: Path) -> list[Path]:
    """Returns the image files below a folder, sorted; none that is hidden, or in a hidden folder."""
    return [path for path in files(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]


def files(folder: Path) -> list[Path]:
    """Returns the files below a folder, sorted, of any kind; none that is hidden, in a hidden folder, or litter.

    Links are followed wherever they lead, for a user put them there; a folder that is reached again is left out. A link that
    leads nowhere is returned, so that it is counted.
    """
    found, seen = [], {_identity(folder)}
    for parent, names, inner in os.walk(folder, followlinks=True):
        below = {Path(parent, name): name for name in names if not _is_hidden(name)}
        names[:] = [name for path, name in below.items() if _identity(path) not in seen]
        seen.update(map(_identity, below))
        found += [Path(parent, name) for name in inner if not _is_hidden(name) and name.lower() not in LITTER]
    return sorted(path for path in found if path.is_file() or path.is_symlink())


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in NOT_OF_A_USER


def files_fingerprint(folder: Path, files: list[Path]) -> str:
    """Returns what changes when one of a folder's files does, by name, size and time."""
    # A link that leads nowhere has no other status than its own
    stats = [(path.relative_to(folder), path.stat() if path.is_file() else path.lstat()) for path in files]
    lines = (f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}" for path, stat in stats)
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def check(folder: Path) -> None:
    """Looks whether a folder holds photos of at least two classes.

    Args:
      folder: that of a span, where it has spans.

    Raises:
      ValueError: with the first thing that is wrong, and its cure.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; unpack it where it is an archive, and give the folder")
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one that holds a folder of photos per class")
    for path in (folder, *_folders_below(folder)):
        if not os.access(path, os.R_OK | os.X_OK):
            raise ValueError(f"{path} must not be read; allow it with `chmod -R u+rX`, or give another folder")
    classes = class_folders(folder)
    _check_classes(folder, [path.name for path in classes])
    _check_images({path.name: len(image_files(path)) for path in classes}, folder)


def _folders_below(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, names, _ in os.walk(folder) for name in names]


def _check_classes(folder: Path, classes: list[str]) -> None:
    if len(classes) < 2:
        flat = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
        beside = f", and {flat:,} photos beside" if flat else ""
        found = f"only {classes[0]}" if classes else "none"
        cure = "sort them into folders" if flat else "add the others"
        raise ValueError(f"{folder} must hold at least two folders, one per class, but has {found}{beside}; {cure}")
    if SPLIT_NAMES.issuperset(name.lower() for name in classes):
        raise ValueError(
            f"{folder} holds splits ({', '.join(classes)}), not classes; give a folder with a folder per class, which is "
            "split here"
        )


def _check_images(counts: dict[str, int], folder: Path) -> None:
    kinds = ", ".join(sorted(IMAGE_SUFFIXES))
    empty = [name for name, count in counts.items() if not count]
    if empty:
        cure = "convert them, or remove the folder" if (others := _others(folder, empty)) else None
        raise ValueError(
            f"no image ({kinds}) in {_some(empty)}{others}; {cure or 'add some to each or remove the folder'}"
        )
    few = [name for name, count in counts.items() if count < MIN_IMAGES]
    if few:
        raise ValueError(
            f"only one image ({kinds}) in {_some(few)}; a class needs at least {MIN_IMAGES}, better 50: add some or "
            "remove the folder"
        )


def _others(folder: Path, classes: list[str]) -> str:
    """Returns how many files of other kinds are in some classes, and of which kinds; empty where there are none."""
    counted = Counter(path.suffix.lower() or "no suffix" for name in classes for path in files(folder / name))
    if not counted:
        return ""
    return f", but {counted.total():,} files of other kinds ({_some([kind for kind, _ in counted.most_common()])})"


def _some(names: list[str]) -> str:
    return ", ".join([*names[:SHOWN], *["…"] * (len(names) > SHOWN)])
