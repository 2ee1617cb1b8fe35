"""Computes a version's answers: classification on the fastest engine, the rest by the exported functions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from graftline.artifacts.examples import EXAMPLES, IMAGE, IMAGE_BYTES
from graftline.server import rest
from graftline.serving.classifier import Classifier
from graftline.serving.exported import Exported

CLASSIFIED = {"probabilities", "known", "label", "label_name"}  # the outputs of signatures that only classify


class Computing:
    """Computes the answers of one version. Several threads may call it: one decodes while another computes."""

    def __init__(self, exported: Exported, max_pixels: int) -> None:
        """Compiles the network.

        Args:
          exported: the model.
          max_pixels: images whose header claims more are not decoded.
        """
        self._exported = exported
        self._classifier = Classifier(exported, max_pixels)
        self._label_names = np.array([name.encode() for name in exported.label_names], object)

    def __call__(self, signature: str, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature by name, arrays with one element per row.

        Args:
          signature: its name.
          rows: values of its only input.

        Raises:
          tf.errors.OpError: if it cannot take a row.
        """
        function = self._exported.signatures[signature]
        pixels = self._pixels(function, rows) if set(function.structured_outputs) <= CLASSIFIED else None
        if pixels is not None:
            return self._classified(pixels, function.structured_outputs)
        name, spec = rest.one_input(function)
        return {name: output.numpy() for name, output in function(**{name: tf.constant(rows, spec.dtype)}).items()}

    def _pixels(self, function: Any, rows: Sequence[Any]) -> np.ndarray | None:
        """Returns the network's input; None if a row has no image, so that the exported function reports it."""
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
    """Returns the encoded image of a row; None if it does not hold exactly one.

    Args:
      name: the name of the signature's input.
      row: the value.
    """
    if name != EXAMPLES:
        return row if name == IMAGE_BYTES else None
    try:
        values = tf.train.Example.FromString(row).features.feature[IMAGE].bytes_list.value
    except DecodeError:
        return None
    return values[0] if len(values) == 1 else None
