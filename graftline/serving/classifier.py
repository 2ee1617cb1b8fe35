"""Classifies many images with an exported model, as serving does but faster."""

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
    """Classifies encoded images with the model's own Transform graph, and its network on the fastest engine.

    Several threads may call it at once: while one decodes, another computes.
    """

    def __init__(self, exported: Exported, max_pixels: int) -> None:
        """Compiles the network.

        Args:
          exported: the model.
          max_pixels: images that claim more are not decoded.
        """
        self._transform = exported.signatures["transform_features"]
        function = exported.signatures["serving_pixels"]
        self._network = inference.compile_function(function, inference.choose(Prefix()))
        self._outputs = sorted(function.structured_outputs)  # the order in which an engine returns them
        self._max_pixels = max_pixels

    def __call__(self, images: Sequence[bytes | str]) -> list[Prediction | str]:
        """Returns the model's answer for each image, or why there is none.

        Args:
          images: encoded images, or for each that could not be read the reason.
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
        """Decodes images with the model's Transform graph.

        Args:
          images: encoded images that `decoding.refused` does not refuse.

        Returns:
          float32 [images, size, size, 3].

        Raises:
          tf.errors.OpError: if one of them is not an image.
        """
        if not images:
            return np.empty(0)
        return self._transform(examples=tf.constant([_example(image) for image in images]))[IMAGE].numpy()

    def scored(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Computes the outputs of the signature `serving_pixels`.

        Args:
          pixels: float32 [images, size, size, 3].

        Returns:
          `probabilities` float32 [images, classes] and, if the model was exported with it, `known` bool [images].
        """
        return dict(zip(self._outputs, (output.copy() for output in self._network(pixels)), strict=True))

    def _predictions(self, pixels: np.ndarray) -> list[Prediction]:
        scored = self.scored(pixels)
        known = scored["known"].tolist() if "known" in scored else [True] * len(pixels)
        return [Prediction(*row) for row in zip(scored["probabilities"], known, strict=True)]


def _images(checked: Sequence[bytes | str]) -> list[bytes]:
    return [image for image in checked if isinstance(image, bytes)]


def _or_reason(image: bytes | str, check: Any, max_pixels: int) -> bytes | str:
    """Returns an image as it is, or why a check of `decoding` refuses it."""
    reason = None if isinstance(image, str) else check(image, max_pixels)
    return reason if isinstance(reason, str) else image


def _example(image: bytes) -> bytes:
    """Returns the tf.Example that the Transform graph takes; it needs a label, of any value."""
    values = {
        IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
        LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[0])),
    }
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()
