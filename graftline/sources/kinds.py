"""All kinds of datasets; the prefix of a dataset's name determines its kind."""

from collections.abc import Callable

from graftline.base.paths import FOLDER_PREFIX, TFDS_PREFIX
from graftline.sources.folder import Folder
from graftline.sources.source import Source, Wanted
from graftline.sources.tfds import Tfds

# Any other name is a TFDS set too, because configurations name those without a prefix
BY_PREFIX: dict[str, Callable[[str, Wanted], Source]] = {FOLDER_PREFIX: Folder, TFDS_PREFIX: Tfds}
AS_IT_IS = Wanted()


def is_given_alone(name: str) -> bool:
    """Returns whether a configuration's name is that of a dataset, which runs with the recipe for photos."""
    return name.startswith(tuple(BY_PREFIX))


def source_of(dataset: str, wanted: Wanted = AS_IT_IS) -> Source:
    """Returns a dataset.

    Args:
      dataset: its name: a prefix of `BY_PREFIX` and what follows it, or the name of a TFDS set.
      wanted: how it is to be read.
    """
    for prefix, kind in BY_PREFIX.items():
        if dataset.startswith(prefix):
            return kind(dataset.removeprefix(prefix), wanted)
    return Tfds(dataset, wanted)
