"""The interface of a kind of dataset. Nothing here imports TensorFlow; a kind imports it only to read images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from graftline.base.photos import LATEST


@dataclass(frozen=True)
class Wanted:
    """How a dataset is to be read; each kind uses what applies to it.

    Attributes:
      span: a number, or `latest`.
      data_dir: where TFDS keeps its sets.
      labels: a table of the classes of a folder's images; relative to the project.
      honoured: whether images keep the dataset's own splits.
    """

    span: str = LATEST
    data_dir: Path = Path()
    labels: Path | None = None
    honoured: bool = True


class Reading(NamedTuple):
    """How to read a dataset.

    Attributes:
      images: a Beam transform into a collection of `RawImage`; files that were found but not read have a reason.
      label_names: names of the classes in the order of their labels.
      given: the dataset's own splits, including the training split; empty if it has none.
      skipped: how many files are not looked at, by kind.
    """

    images: Any
    label_names: list[str]
    given: tuple[str, ...] = ()
    skipped: Mapping[str, int] = {}


class Source(Protocol):
    """A dataset of one kind, named by `data.dataset`."""

    @property
    def title(self) -> str:
        """The dataset's title in lists of runs."""

    @property
    def schema_name(self) -> str:
        """The name of its schema, without a suffix."""

    def check(self, here: bool) -> None:
        """Raises ValueError with the first problem of the dataset, and its fix.

        Args:
          here: whether its files must be on this machine.
        """

    def on_volume(self, mount: Path) -> str:
        """Returns `data.dataset` as the pods of a cluster see it.

        Args:
          mount: where pods mount the shared volume.

        Raises:
          UserError: if the dataset is not on the volume.
        """

    def alone(self) -> tuple[str, str]:
        """Returns `data.dataset` and the name of runs for a dataset that is given without a configuration."""

    def argument(self) -> str:
        """Returns the argument of `graftline run` for it, without a configuration."""

    def fingerprint(self) -> str:
        """Returns a hash that changes if and only if the dataset does.

        Raises:
          UserError: if the dataset is unavailable.
        """

    def images(self, limit: int | None) -> Reading:
        """Returns a reader of the images.

        Args:
          limit: the maximum number to read; None for all.

        Raises:
          UserError: if the images are unavailable.
        """

    def count(self) -> int | None:
        """Returns how many images there are, if that is quickly known; else None."""

    def size(self) -> dict[str, Any]:
        """Returns how many `images` there are, how many `bytes` they take, and the `urls` of what is still to be downloaded.

        `left_out` counts the files that are left out, by reason, as far as known before they are read.
        """

    def prepare(self, archive: Path) -> None:
        """Prepares it from a local copy of the archive that it is made from.

        Raises:
          UserError: if it is not made from an archive, or from a different one.
        """
