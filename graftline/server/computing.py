"""Computes a version's answers: what only classifies on the fastest engine, the rest by the exported functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from graftline.artifacts.examples import EXAMPLES, IMAGE, IMAGE_BYTES
from graftline.server import rest
from graftline.serving.classifier import Classifier
from graftline.serving.exported import Exported

CLASSIFIED = {"probabilities", "known", "label", "label_name"}  # outputs of signatures that only classify


class Computing:
    """What computes one version. Threads may call it side by side: while one decodes, another computes."""

    def __init__(self, exported: Exported, max_pixels: int) -> None:
        """Compiles the network.

        Args:
          exported: the model.
          max_pixels: an image that claims more is not decoded.
        """
        self._exported = exported
        self._classifier = Classifier(exported, max_pixels)
        self._label_names = np.array([name.encode() for name in exported.label_names], object)

    def __call__(self, signature: str, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature by their names, an element of each array for a row.

        Args:
          signature: its name.
          rows: values of its one input.

        Raises:
          tf.errors.OpError: where a row cannot be taken.
        """
        function = self._exported.signatures[signature]
        pixels = self._pixels(function, rows) if set(function.structured_outputs) <= CLASSIFIED else None
        if pixels is not None:
            return self._classified(pixels, function.structured_outputs)
        name, spec = rest.one_input(function)
        return {name: output.numpy() for name, output in function(**{name: tf.constant(rows, spec.dtype)}).items()}

    def _pixels(self, function: Any, rows: Sequence[Any]) -> np.ndarray | None:
        """Returns what the network takes; None where a row holds no image, about which the exported function has a word."""
        name, _ = rest.one_input(function)
        if name == IMAGE:
            return np.stack(rows)
        images = [encoded_image(name, row) for row in rows]
        return None if None in images else self._classifier.decoded([image for image in images if image is not None])

    def _classified(self, pixels: np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        answer = self._classifier.scored(pixels)
        answer["label"] = np.argmax(answer["probabilities"], axis=-1)
        answer["label_name"] = self._label_names[answer["label"]]
        return {name: answer[name] for name in wanted}


def encoded_image(name: str, row: Any) -> bytes | None:
    """Returns the encoded image of a row; None where it does not hold exactly one.

    Args:
      name: of the signature's input.
      row: its value.
    """
    if name != EXAMPLES:
        return row if name == IMAGE_BYTES else None
    try:
        values = tf.train.Example.FromString(row).features.feature[IMAGE].bytes_list.value
    except DecodeError:
        return None
    return values[0] if len(values) == 1 else None
