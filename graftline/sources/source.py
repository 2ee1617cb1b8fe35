"""What a kind of dataset answers. Nothing here imports TensorFlow; a kind does where it reads images."""

from pathlib import Path
from typing import Any, Protocol


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

    def images(self, limit: int | None) -> tuple[Any, list[str]]:
        """Returns a Beam transform that reads images, into a collection of `RawImage`, and the class names in their order.

        Args:
          limit: how many are read at most.

        Raises:
          UserError: where they cannot be had.
        """

    def count(self) -> int | None:
        """Returns how many images there are, where that can be seen at once; None where it cannot."""

    def size(self) -> dict[str, Any]:
        """Returns how many `images` are there, how many `bytes` they take, and the `urls` of what is not there yet."""

    def prepare(self, archive: Path) -> None:
        """Prepares it from a local copy of the archive that it is made from.

        Raises:
          UserError: where it is not made from one, or from another.
        """
