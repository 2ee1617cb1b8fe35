"""Exporter: makes smaller forms of the model for phones: TFLite with float16 weights, and with int8 arithmetic.

Each form takes one image as the Transform outputs it, float32 [1, size, size, 3], and returns its probabilities, float32
[1, classes]. Both have the same interface, so that an app can replace one with the other. The app turns a photo upright
first, as its EXIF orientation says. Each form is run on the test split, and is not kept if its accuracy is too far below
the model's on the same images.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel
from tfx.utils import path_utils

from components.exporter.tflite import convert, measure
from graftline.artifacts import records
from graftline.artifacts.examples import EXTRA, IMAGE, LABEL, TEST, TRAIN, read_label_names, write_label_names
from graftline.artifacts.exports import EXPORTS_FILE, Exports

REPRESENTATIVE = 200  # training images that determine the ranges of int8
BATCH = 32  # images held in memory at once


@component
def Exporter(  # noqa: N802 (a component is named as a class)
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    exports: OutputArtifact[Exports],
    names: Parameter[str],
    max_drop: Parameter[float],
) -> None:
    """Converts the model, measures each form of it, and keeps those that are good enough as `<name>.tflite`.

    Args:
      model: the exported model.
      examples: int8 takes its ranges from the training split; all forms are measured on the test split.
      exports: the kept forms with their class names, and the measurements of all.
      names: names of the forms, as a JSON list.
      max_drop: how far the accuracy may be below the model's, in [0, 1].
    """
    path = path_utils.serving_model_path(model.uri)
    loaded = tf.saved_model.load(path)
    images = _Images(loaded.signatures["transform_features"], examples.uri)
    contents = {name: convert(loaded, name, images.representative()) for name in json.loads(names)}
    measured = measure(loaded, contents, images.test(), max_drop)
    Path(exports.uri).mkdir(parents=True, exist_ok=True)
    for export in measured:
        if export.kept:
            Path(exports.uri, f"{export.name}.tflite").write_bytes(contents[export.name])
    write_label_names(exports.uri, read_label_names(f"{path}/{EXTRA}"))
    Path(exports.uri, EXPORTS_FILE).write_text(json.dumps([asdict(export) for export in measured], indent=1))


def exporter(model: BaseChannel, examples: BaseChannel, names: tuple[str, ...], max_drop: float) -> BaseNode:
    """Returns the node; arguments as for `Exporter`."""
    return Exporter(model=model, examples=examples, names=json.dumps(names), max_drop=max_drop)


class _Images:
    """Images of the splits, as the model's own Transform graph outputs them."""

    def __init__(self, transform: Any, examples_uri: str) -> None:
        self._transform = transform
        self._uri = examples_uri

    def representative(self) -> Iterator[np.ndarray]:
        """Yields training images from the whole split, float32 [1, size, size, 3]."""
        train = records.read(self._uri, TRAIN)
        count = int(train.reduce(0, lambda count, _: count + 1))
        sample = train.shard(max(count // REPRESENTATIVE, 1), 0).take(REPRESENTATIVE)
        for record in sample.batch(1):
            yield self._transform(examples=record)[IMAGE].numpy()

    def test(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields images [batch, size, size, 3] and labels [batch] of the test split."""
        for batch in records.read(self._uri, TEST).batch(BATCH).prefetch(1):
            found = self._transform(examples=batch)
            yield found[IMAGE].numpy(), found[LABEL].numpy()
