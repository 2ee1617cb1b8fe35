"""What a folder of photos contains: one folder per class, or such folders in each of several splits.

Every file of the folder is listed once: read, left out with the reason, or skipped and counted.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from graftline.artifacts.examples import TEST, TRAIN, VALIDATION
from graftline.base import photos
from graftline.base.photos import Found

BESIDE = "outside the folders of classes"
# Words in a folder's name, by the split that they mean
WORDS = {
    TRAIN: frozenset({"train", "training"}),
    VALIDATION: frozenset({"val", "valid", "validation", "dev", "development", "eval", "evaluation"}),
    TEST: frozenset({"test", "testing"}),
}


class File(NamedTuple):
    """A file that is read, or left out.

    Attributes:
      path: its path below the folder, as text; for a missing file, as the table names it.
      label: number of its class.
      split: the dataset's own split for it; empty if it has none.
      problem: why it is left out; empty if it is read.
    """

    path: str
    label: int
    split: str = ""
    problem: str = ""


@dataclass
class Holdings:
    """What a folder contains.

    Attributes:
      folder: the folder.
      classes: names of the classes, in the order of their labels.
      files: files that are read or left out.
      skipped: how many other files there are, by kind.
      given: the folder of each of the dataset's own splits; empty if it has none.
    """

    folder: Path
    classes: list[str]
    files: list[File] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    given: dict[str, Path] = field(default_factory=dict)

    def images(self) -> list[Path]:
        """Returns the images that are read."""
        return [self.folder / file.path for file in self.files if not file.problem]

    def left_out(self) -> Counter[str]:
        """Returns how many files are left out, by reason."""
        return Counter(file.problem for file in self.files if file.problem)

    def add(self, found: Found, label: int, split: str = "") -> None:
        """Adds what is in a folder of a class; arguments as for `File`."""
        texts = {path: str(path.relative_to(self.folder)) for path in [*found.images, *found.others]}
        self.files += [File(texts[path], label, split) for path in found.images]
        self.files += [File(texts[path], label, split, why) for path, why in sorted(found.others.items())]
        self.skipped += found.skipped

    def add_beside(self, found: Found) -> None:
        """Adds files outside the folders of classes; broken links are left out, as they may be meant as such folders."""
        lost = {path: why for path, why in found.others.items() if why in (photos.DANGLING, photos.LOOP)}
        self.add(Found([], lost, found.skipped), 0)
        self.skipped += Counter({BESIDE: len(found.images) + len(found.others) - len(lost)})


def split_named(name: str) -> str:
    """Returns the split that a word of a folder's name means; empty if the words mean no split or several."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    splits = [split for split, known in WORDS.items() if words & known]
    return splits[0] if len(splits) == 1 else ""


def by_class(folder: Path) -> Holdings:
    """Returns what a folder with one folder per class contains."""
    classes = photos.folders_in(folder)
    held = Holdings(folder, [path.name for path in classes])
    for label, path in enumerate(classes):
        held.add(photos.walk(path, folder), label)
    held.add_beside(photos.beside(folder))
    return held


def by_split(folder: Path, honoured: bool) -> Holdings | None:
    """Returns what a folder of splits, each with one folder per class, contains; None if it has no splits.

    Args:
      folder: the folder, or one that contains only that folder.
      honoured: whether the images keep these splits.
    """
    root = _only_folder_in(folder)
    given = _splits_in(root)
    if not given:
        return None
    inner = {split: _only_folder_in(path) for split, path in given.items()}
    classes = sorted(set().union(*(_names(path) for path in inner.values())))
    held = Holdings(folder, classes, given=given if honoured else {})
    for split, path in inner.items():
        for one in photos.folders_in(path):
            held.add(photos.walk(one, folder, root), classes.index(one.name), split if honoured else "")
    for path in {folder, root, *given.values(), *inner.values()}:
        held.add_beside(photos.beside(path))
    for path in sorted(set(photos.folders_in(root)) - set(given.values())):
        held.add_beside(photos.walk(path, folder))
    return held


def _splits_in(folder: Path) -> dict[str, Path]:
    """Returns the folders of splits, training and others; empty if their classes are not the same.

    Folders without classes may be next to them, such as photos without labels.
    """
    folders = photos.folders_in(folder)
    if sum(bool(split_named(path.name)) for path in folders) < 2:  # cheaper than looking at every file
        return {}
    holding = [path for path in folders if _names(_only_folder_in(path))]
    named = {split_named(path.name): path for path in holding}
    if len(named) < max(2, len(holding)) or "" in named or TRAIN not in named:
        return {}
    names = {split: _names(_only_folder_in(path)) for split, path in named.items()}
    together = set().union(*names.values())
    # A class may be missing in a split, but not most classes
    alike = all(2 * len(one & names[TRAIN]) >= len(together) for one in names.values())
    return named if alike and len(together) > 1 else {}


def _names(folder: Path) -> set[str]:
    return {path.name for path in photos.folders_in(folder)}


def _only_folder_in(folder: Path) -> Path:
    """Returns the only folder in a folder without images, as in many archives; else the folder itself."""
    inside = photos.folders_in(folder)
    return inside[0] if len(inside) == 1 and _has_no_image(folder) and photos.folders_in(inside[0]) else folder


def _has_no_image(folder: Path) -> bool:
    return not photos.beside(folder).images


def told_splits(given: Iterable[str]) -> str:
    """Returns a sentence about the dataset's own splits; empty if it has none."""
    found = [split for split in (TRAIN, VALIDATION, TEST) if split in given]
    missing = [split for split in (VALIDATION, TEST) if split not in found]
    if not found:
        return ""
    drawn = f"; {missing[0]} is drawn from train by the images' hashes" if missing else ""
    return f"The dataset's own splits are kept: {', '.join(found)}{drawn}"
