"""Opens an exported model: its functions and its class names."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from graftline.artifacts.examples import EXTRA, read_label_names
from graftline.base.aliases import without_pattern
from graftline.base.errors import UserError

CURE = "run the pipeline again to export a complete model"


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
      folder: its folder; of a version, the name is the version's number.
      saved: the object that TensorFlow loaded, which must live as long as its signatures.
      label_names: class names in the order of their labels.
    """

    folder: Path
    saved: Any
    label_names: list[str]

    @property
    def signatures(self) -> Mapping[str, Any]:
        """The model's functions, see `export`."""
        return self.saved.signatures


def load(folder: Path) -> Exported:
    """Opens a model.

    Args:
      folder: as `versions.find` returns it.

    Raises:
      UserError: if it cannot be loaded, or was exported by a version of Graftline that did not save the class names with it.
    """
    try:
        label_names = read_label_names(str(folder / EXTRA))
    except OSError:
        raise UserError(f"The model in {folder} does not say what its classes are called: {CURE}.") from None
    try:
        saved = tf.saved_model.load(str(without_pattern(folder.absolute())))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(f"{folder} cannot be loaded ({str(error).splitlines()[0]}): {CURE}.") from error
    return Exported(folder, saved, label_names)
