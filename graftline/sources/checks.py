"""Checks a folder of photos before it is read: reports the first problem, with its fix."""

from pathlib import Path

from graftline.artifacts.examples import TRAIN
from graftline.base import photos
from graftline.sources.holdings import WORDS, Holdings

MIN_IMAGES = 2  # of a class: one to learn from, one to be tested on
SHOWN = 5  # names in a message


def check_folder(folder: Path) -> None:
    """Checks that there is a folder that can be read.

    Args:
      folder: the folder, or the span's folder if there are spans.

    Raises:
      ValueError: with the first problem, and its fix.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file, not a folder; if it is an archive, unpack it and give the folder")
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one that contains one folder of photos per class")
    if path := photos.unreadable(folder):
        raise ValueError(f"{path} is not readable; run `chmod -R u+rX` on it, or give another folder")


def check_classes(held: Holdings) -> None:
    """Checks that a folder contains images of at least two classes.

    Args:
      held: what the folder contains.

    Raises:
      ValueError: as `check_folder`.
    """
    if not held.given:
        _check_names(held.folder, held.classes)
    _check_images(held)


def _check_names(folder: Path, classes: list[str]) -> None:
    if len(classes) < 2:
        flat = len(photos.beside(folder).images)
        beside = f", and {flat:,} loose photos" if flat else ""
        found = f"only {classes[0]}" if classes else "none"
        cure = "sort them into folders, or give a table of their classes with --labels" if flat else "add other classes"
        raise ValueError(f"{folder} must contain at least two folders, one per class, but has {found}{beside}; {cure}")
    if set().union(*WORDS.values()).issuperset(name.lower() for name in classes):
        raise ValueError(
            f"{folder} contains splits ({', '.join(classes)}), not classes; give a folder with one folder per class, which "
            "Graftline splits, or put the same class folders in each split"
        )


def _check_images(held: Holdings) -> None:
    counts = dict.fromkeys(range(len(held.classes)), 0)
    learnt = dict(counts)
    for file in held.files:
        if not file.problem:
            counts[file.label] += 1
            learnt[file.label] += file.split in ("", TRAIN)
    kinds = ", ".join(sorted(photos.IMAGE_SUFFIXES))
    if empty := [held.classes[label] for label, count in counts.items() if not count]:
        others = _others(held, empty)
        cure = "convert them, or remove the folder" if others else "add some to each, or remove the folder"
        raise ValueError(f"no images ({kinds}) in {_some(empty)}{others}; {cure}")
    if few := [held.classes[label] for label, count in counts.items() if count < MIN_IMAGES]:
        raise ValueError(
            f"only one image ({kinds}) in {_some(few)}; a class needs at least {MIN_IMAGES}, preferably 50: add some, "
            "or remove the folder"
        )
    if unlearnt := [held.classes[label] for label, count in learnt.items() if not count]:
        raise ValueError(
            f"{held.given[TRAIN]} has no images of {_some(unlearnt)} to learn from; add some, or set data.given_splits to "
            "merge"
        )


def _others(held: Holdings, classes: list[str]) -> str:
    """Returns, in words, how many files of some classes are left out, and why; empty if there are none."""
    numbers = {held.classes.index(name) for name in classes}
    of_them = Holdings(held.folder, held.classes, [file for file in held.files if file.label in numbers]).left_out()
    if not of_them:
        return ""
    return f", but {of_them.total():,} files of other kinds ({_some([kind for kind, _ in of_them.most_common()])})"


def _some(names: list[str]) -> str:
    return ", ".join([*names[:SHOWN], *["…"] * (len(names) > SHOWN)])
