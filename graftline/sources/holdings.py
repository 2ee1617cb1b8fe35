"""What a folder of photos holds, as it is read: a folder a class, or such folders once for each of several splits.

Every file of the folder is in it once: read, left out with the reason, or skipped and counted.
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

BESIDE = "beside the folders of classes"
# Words in a folder's name, by the split that they stand for
WORDS = {
    TRAIN: frozenset({"train", "training"}),
    VALIDATION: frozenset({"val", "valid", "validation", "dev", "development", "eval", "evaluation"}),
    TEST: frozenset({"test", "testing"}),
}


class File(NamedTuple):
    """A file that is read, or left out.

    Attributes:
      path: as a text below the folder; of one that is not there as whoever names it does.
      label: number of its class.
      split: that the dataset gives it; empty where it gives none.
      problem: why it is left out; empty where it is read.
    """

    path: str
    label: int
    split: str = ""
    problem: str = ""


@dataclass
class Holdings:
    """What a folder holds.

    Attributes:
      folder: the folder.
      classes: names of the classes, in the order of their labels.
      files: what is read or left out.
      skipped: how many other files there are, by what they are.
      given: the folder of each split that the dataset itself gives; none where it gives none.
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
        """Returns how many files are left out, by the reason."""
        return Counter(file.problem for file in self.files if file.problem)

    def add(self, found: Found, label: int, split: str = "") -> None:
        """Adds what lies in a folder of a class; arguments as of `File`."""
        texts = {path: str(path.relative_to(self.folder)) for path in [*found.images, *found.others]}
        self.files += [File(texts[path], label, split) for path in found.images]
        self.files += [File(texts[path], label, split, why) for path, why in sorted(found.others.items())]
        self.skipped += found.skipped

    def add_beside(self, found: Found) -> None:
        """Adds what lies in no folder of a class: of none, but a link to nothing may have been meant as such a folder."""
        lost = {path: why for path, why in found.others.items() if why in (photos.DANGLING, photos.LOOP)}
        self.add(Found([], lost, found.skipped), 0)
        self.skipped += Counter({BESIDE: len(found.images) + len(found.others) - len(lost)})


def split_named(name: str) -> str:
    """Returns the split that a folder's name speaks of, a word of it at least; empty where it speaks of none or of two."""
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    splits = [split for split, known in WORDS.items() if words & known]
    return splits[0] if len(splits) == 1 else ""


def by_class(folder: Path) -> Holdings:
    """Returns what a folder holds that has a folder a class."""
    classes = photos.folders_in(folder)
    held = Holdings(folder, [path.name for path in classes])
    for label, path in enumerate(classes):
        held.add(photos.walk(path, folder), label)
    held.add_beside(photos.beside(folder))
    return held


def by_split(folder: Path, honoured: bool) -> Holdings | None:
    """Returns what a folder holds that has folders of splits, with a folder a class in each; None where it has none.

    Args:
      folder: the folder, or one with nothing but that in it.
      honoured: whether the images have their splits.
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
    """Returns the folders of splits, of training and of others; none where their classes are not the same.

    Others may lie beside them that hold no class, such as photos without labels.
    """
    folders = photos.folders_in(folder)
    if sum(bool(split_named(path.name)) for path in folders) < 2:  # without looking at every file
        return {}
    holding = [path for path in folders if _names(_only_folder_in(path))]
    named = {split_named(path.name): path for path in holding}
    if len(named) < max(2, len(holding)) or "" in named or TRAIN not in named:
        return {}
    names = {split: _names(_only_folder_in(path)) for split, path in named.items()}
    together = set().union(*names.values())
    # A class may be missing in one of them, not most of them
    alike = all(2 * len(one & names[TRAIN]) >= len(together) for one in names.values())
    return named if alike and len(together) > 1 else {}


def _names(folder: Path) -> set[str]:
    return {path.name for path in photos.folders_in(folder)}


def _only_folder_in(folder: Path) -> Path:
    """Returns the folder that a folder holds and nothing else does, as archives have it; else the folder itself."""
    inside = photos.folders_in(folder)
    return inside[0] if len(inside) == 1 and _has_no_image(folder) and photos.folders_in(inside[0]) else folder


def _has_no_image(folder: Path) -> bool:
    return not photos.beside(folder).images


def told_splits(given: Iterable[str]) -> str:
    """Returns a sentence about the splits that a dataset gives itself; empty where it gives none."""
    found = [split for split in (TRAIN, VALIDATION, TEST) if split in given]
    missing = [split for split in (VALIDATION, TEST) if split not in found]
    if not found:
        return ""
    drawn = f"; {missing[0]} is drawn from train by the images' hashes" if missing else ""
    return f"The dataset's own splits are kept: {', '.join(found)}{drawn}"
