"""Many images classified by an exported model, as serving does, only faster."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from graftline.artifacts.examples import IMAGE, LABEL
from graftline.data import decoding, heic
from graftline.network import inference
from graftline.serving.exported import Exported
from graftline.serving.predictions import Prediction
from graftline.settings.training import Prefix


class Classifier:
    """Classifies encoded images: through the model's own Transform graph, and its network on the fastest engine.

    Threads may call it side by side: while one decodes, another computes.
    """

    def __init__(self, exported: Exported, max_pixels: int) -> None:
        """Compiles the network.

        Args:
          exported: the model.
          max_pixels: an image that claims more is not decoded.
        """
        self._transform = exported.signatures["transform_features"]
        self._network = inference.compile_function(exported.signatures["serving_pixels"], inference.choose(Prefix()))
        self._max_pixels = max_pixels

    def __call__(self, images: Sequence[bytes | str]) -> list[Prediction | str]:
        """Returns for each image what the model answers, or why it answers nothing.

        Args:
          images: encoded images, or why they could not be read.
        """
        readable = [image if isinstance(image, str) else heic.readable(image, self._max_pixels) for image in images]
        checked = [_or_reason(image, decoding.refused, self._max_pixels) for image in readable]
        try:
            pixels = self._decoded(checked)
        except tf.errors.OpError:
            before = checked
            checked = [_or_reason(image, decoding.examine, self._max_pixels) for image in before]
            if checked == before:  # no image is to blame
                raise
            pixels = self._decoded(checked)
        found = iter(self._predictions(pixels) if len(pixels) else ())
        return [image if isinstance(image, str) else next(found) for image in checked]

    def _predictions(self, pixels: np.ndarray) -> list[Prediction]:
        """Returns predictions for float32 [images, size, size, 3]."""
        *known, probabilities = self._network(pixels)  # by name; of a model that was exported before, no `known`
        knows = known[0].tolist() if known else [True] * len(pixels)
        return [Prediction(row.copy(), known) for row, known in zip(probabilities, knows, strict=True)]

    def _decoded(self, images: Sequence[bytes | str]) -> np.ndarray:
        """Returns those that are images, float32 [images, size, size, 3]."""
        examples = [_example(image) for image in images if isinstance(image, bytes)]
        if not examples:
            return np.empty(0)
        return self._transform(examples=tf.constant(examples))[IMAGE].numpy()


def _or_reason(image: bytes | str, check: Any, max_pixels: int) -> bytes | str:
    """Returns an image as it is, or why a check of `decoding` does not like it."""
    reason = None if isinstance(image, str) else check(image, max_pixels)
    return reason if isinstance(reason, str) else image


def _example(image: bytes) -> bytes:
    """Returns what the Transform graph takes; it asks for a label, whatever it is."""
    values = {
        IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()
