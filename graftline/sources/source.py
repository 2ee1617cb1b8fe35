"""What a kind of dataset answers. Nothing here imports TensorFlow; a kind does where it reads images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from graftline.base.photos import LATEST


@dataclass(frozen=True)
class Wanted:
    """How a dataset is to be read; a kind takes of it what it has a use for.

    Attributes:
      span: a number, or `latest`.
      data_dir: where TFDS keeps its sets.
      labels: a table of the classes of a folder's images; relative to the project.
      honoured: whether images have the splits that the dataset itself gives them.
    """

    span: str = LATEST
    data_dir: Path = Path()
    labels: Path | None = None
    honoured: bool = True


class Reading(NamedTuple):
    """What reads a dataset.

    Attributes:
      images: a Beam transform into a collection of `RawImage`; what was found and is not read has its reason.
      label_names: names of the classes in the order of their labels.
      given: the splits that the dataset itself gives its images, the training split among them; none where it gives none.
      skipped: how many files are not even looked at, by what they are.
    """

    images: Any
    label_names: list[str]
    given: tuple[str, ...] = ()
    skipped: Mapping[str, int] = {}


class Source(Protocol):
    """A dataset of one kind, as `data.dataset` names it."""

    @property
    def title(self) -> str:
        """The dataset as lists of runs show it."""

    @property
    def schema_name(self) -> str:
        """The name of its schema, without a suffix."""

    def check(self, here: bool) -> None:
        """Raises ValueError with the first thing that is wrong with it, and the cure.

        Args:
          here: whether its files must be on this machine.
        """

    def on_volume(self, mount: Path) -> str:
        """Returns `data.dataset` as the pods of a cluster name it.

        Args:
          mount: where they have the shared volume.

        Raises:
          UserError: where they do not have it.
        """

    def alone(self) -> tuple[str, str]:
        """Returns `data.dataset`, and the name of runs, where it is given without a configuration."""

    def argument(self) -> str:
        """Returns what is given to `graftline run` for it, without a configuration."""

    def fingerprint(self) -> str:
        """Returns what changes when the dataset does, and only then.

        Raises:
          UserError: where it cannot be had.
        """

    def images(self, limit: int | None) -> Reading:
        """Returns what reads the images.

        Args:
          limit: how many are read at most.

        Raises:
          UserError: where they cannot be had.
        """

    def count(self) -> int | None:
        """Returns how many images there are, where that can be seen at once; None where it cannot."""

    def size(self) -> dict[str, Any]:
        """Returns how many `images` are there, how many `bytes` they take, and the `urls` of what is not there yet.

        Files that are left out are counted by reason as `left_out`, where that is known before they are read.
        """

    def prepare(self, archive: Path) -> None:
        """Prepares it from a local copy of the archive that it is made from.

        Raises:
          UserError: where it is not made from one, or from another.
        """
