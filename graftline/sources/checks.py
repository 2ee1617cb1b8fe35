"""What is wrong with a folder of photos, before it is read: the first thing, and its cure."""

from pathlib import Path

from graftline.artifacts.examples import TRAIN
from graftline.base import photos
from graftline.sources.holdings import WORDS, Holdings

MIN_IMAGES = 2  # of a class: one to learn from, one to be tested on
SHOWN = 5  # names in a message


def check_folder(folder: Path) -> None:
    """Looks whether there is a folder that can be read.

    Args:
      folder: that of a span, where it has spans.

    Raises:
      ValueError: with the first thing that is wrong, and its cure.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; unpack it where it is an archive, and give the folder")
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one that holds a folder of photos per class")
    if path := photos.unreadable(folder):
        raise ValueError(f"{path} must not be read; allow it with `chmod -R u+rX`, or give another folder")


def check_classes(held: Holdings) -> None:
    """Looks whether a folder holds images of at least two classes.

    Args:
      held: what it holds.

    Raises:
      ValueError: as `check_folder`.
    """
    if not held.given:
        _check_names(held.folder, held.classes)
    _check_images(held)


def _check_names(folder: Path, classes: list[str]) -> None:
    if len(classes) < 2:
        flat = len(photos.beside(folder).images)
        beside = f", and {flat:,} photos beside" if flat else ""
        found = f"only {classes[0]}" if classes else "none"
        cure = "sort them into folders, or give a table of their classes with --labels" if flat else "add the others"
        raise ValueError(f"{folder} must hold at least two folders, one per class, but has {found}{beside}; {cure}")
    if set().union(*WORDS.values()).issuperset(name.lower() for name in classes):
        raise ValueError(
            f"{folder} holds splits ({', '.join(classes)}), not classes; give a folder with a folder per class, which is "
            "split here, or the same folders of classes in each split"
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
        cure = "convert them, or remove the folder" if others else "add some to each or remove the folder"
        raise ValueError(f"no image ({kinds}) in {_some(empty)}{others}; {cure}")
    if few := [held.classes[label] for label, count in counts.items() if count < MIN_IMAGES]:
        raise ValueError(
            f"only one image ({kinds}) in {_some(few)}; a class needs at least {MIN_IMAGES}, better 50: add some or "
            "remove the folder"
        )
    if unlearnt := [held.classes[label] for label, count in learnt.items() if not count]:
        raise ValueError(
            f"no image to learn from in {held.given[TRAIN]} of {_some(unlearnt)}; add some, or set data.given_splits to "
            "merge"
        )


def _others(held: Holdings, classes: list[str]) -> str:
    """Returns how many files of some classes are left out, and why; empty where there are none."""
    numbers = {held.classes.index(name) for name in classes}
    of_them = Holdings(held.folder, held.classes, [file for file in held.files if file.label in numbers]).left_out()
    if not of_them:
        return ""
    return f", but {of_them.total():,} files of other kinds ({_some([kind for kind, _ in of_them.most_common()])})"


def _some(names: list[str]) -> str:
    return ", ".join([*names[:SHOWN], *["…"] * (len(names) > SHOWN)])
