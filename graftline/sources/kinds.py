"""The kinds that there are: which of them a dataset is of follows from how its name begins."""

from collections.abc import Callable
from pathlib import Path

from graftline.base.paths import FOLDER_PREFIX, TFDS_PREFIX
from graftline.base.photos import LATEST
from graftline.sources.folder import Folder
from graftline.sources.source import Source
from graftline.sources.tfds import Tfds


def _folder(path: str, span: str, data_dir: Path) -> Source:
    return Folder(path, span)


# Any other name is one of TFDS too, which a configuration gives without a prefix
BY_PREFIX: dict[str, Callable[[str, str, Path], Source]] = {FOLDER_PREFIX: _folder, TFDS_PREFIX: Tfds}


def is_given_alone(name: str) -> bool:
    """Tells whether a configuration's name is a dataset's, which the recipe for photos is taken for."""
    return name.startswith(tuple(BY_PREFIX))


def source_of(dataset: str, span: str = LATEST, data_dir: Path = Path()) -> Source:
    """Returns a dataset.

    Args:
      dataset: its name: a prefix of `BY_PREFIX` and what follows it, or the name of a TFDS set.
      span: a number, or `latest`.
      data_dir: where TFDS keeps its sets.
    """
    for prefix, kind in BY_PREFIX.items():
        if dataset.startswith(prefix):
            return kind(dataset.removeprefix(prefix), span, data_dir)
    return Tfds(dataset, span, data_dir)
