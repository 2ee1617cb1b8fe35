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
        function = exported.signatures["serving_pixels"]
        self._network = inference.compile_function(function, inference.choose(Prefix()))
        self._outputs = sorted(function.structured_outputs)  # in which order an engine gives them
        self._max_pixels = max_pixels

    def __call__(self, images: Sequence[bytes | str]) -> list[Prediction | str]:
        """Returns for each image what the model answers, or why it answers nothing.

        Args:
          images: encoded images, or why they could not be read.
        """
        readable = [image if isinstance(image, str) else heic.readable(image, self._max_pixels) for image in images]
        checked = [_or_reason(image, decoding.refused, self._max_pixels) for image in readable]
        try:
            pixels = self.decoded(_images(checked))
        except tf.errors.OpError:
            before = checked
            checked = [_or_reason(image, decoding.examine, self._max_pixels) for image in before]
            if checked == before:  # no image is to blame
                raise
            pixels = self.decoded(_images(checked))
        found = iter(self._predictions(pixels) if len(pixels) else ())
        return [image if isinstance(image, str) else next(found) for image in checked]

    def decoded(self, images: Sequence[bytes]) -> np.ndarray:
        """Decodes images by the model's Transform graph.

        Args:
          images: encoded, as `decoding.refused` lets them pass.

        Returns:
          float32 [images, size, size, 3].

        Raises:
          tf.errors.OpError: where one of them is not an image.
        """
        if not images:
            return np.empty(0)
        return self._transform(examples=tf.constant([_example(image) for image in images]))[IMAGE].numpy()

    def scored(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Computes what the signature `serving_pixels` gives.

        Args:
          pixels: float32 [images, size, size, 3].

        Returns:
          `probabilities` float32 [images, classes] and, of a model that was exported with it, `known` bool [images].
        """
        return dict(zip(self._outputs, (output.copy() for output in self._network(pixels)), strict=True))

    def _predictions(self, pixels: np.ndarray) -> list[Prediction]:
        scored = self.scored(pixels)
        known = scored["known"].tolist() if "known" in scored else [True] * len(pixels)
        return [Prediction(*row) for row in zip(scored["probabilities"], known, strict=True)]


def _images(checked: Sequence[bytes | str]) -> list[bytes]:
    return [image for image in checked if isinstance(image, bytes)]


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
