"""Exporter: smaller forms of the model, for phones: TFLite with float16 weights, and with int8 arithmetic.

Each takes one picture as the Transform gives it, float32 [1, size, size, 3], and gives its probabilities, float32
[1, classes]: the same for both, so that an app can change one for the other; only the inside differs. Each is run on the
test split, and not kept where it is that much worse than the model on the same pictures.
"""

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components import features, records
from components.report.artifacts import EXPORTS_FILE, Exports
from components.report.content import Export

FP16, INT8 = "tflite_fp16", "tflite_int8"
REPRESENTATIVE = 200  # training pictures that the ranges of int8 are taken from
BATCH = 32  # pictures held at once
THREADS = 2  # of the interpreter


@component
def Exporter(  # noqa: N802 (a component is named as a class)
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    exports: OutputArtifact[Exports],
    names: Parameter[str],
    max_drop: Parameter[float],
    code: Parameter[str],
) -> None:
    """Converts the model, measures each form of it, and keeps those that are good enough as `<name>.tflite`.

    Args:
      model: the exported model.
      examples: int8 takes ranges from the training split; all are measured on the test split.
      exports: the kept ones with their class names, and what was measured of all.
      names: those of the forms, as a JSON list.
      max_drop: how far the accuracy may be below the model's, in [0, 1].
      code: hash of the source; the cache of another code is not used.
    """
    path = path_utils.serving_model_path(model.uri)
    loaded = tf.saved_model.load(path)
    pictures = _Pictures(loaded.signatures["transform_features"], examples.uri)
    contents = {name: convert(loaded, name, pictures.representative()) for name in json.loads(names)}
    measured = measure(loaded, contents, pictures.test(), max_drop)
    Path(exports.uri).mkdir(parents=True, exist_ok=True)
    for export in measured:
        if export.kept:
            Path(exports.uri, f"{export.name}.tflite").write_bytes(contents[export.name])
    features.write_label_names(exports.uri, features.read_label_names(f"{path}/{features.EXTRA}"))
    Path(exports.uri, EXPORTS_FILE).write_text(json.dumps([asdict(export) for export in measured], indent=1))


class _Pictures:
    """Pictures of the splits, as the model's own Transform graph gives them."""

    def __init__(self, transform: Any, examples_uri: str) -> None:
        self._transform = transform
        self._uri = examples_uri

    def representative(self) -> Iterator[np.ndarray]:
        """Yields training pictures, float32 [1, size, size, 3], from all over the split."""
        train = records.read(self._uri, features.TRAIN)
        count = int(train.reduce(0, lambda count, _: count + 1))
        sample = train.shard(max(count // REPRESENTATIVE, 1), 0).take(REPRESENTATIVE)
        for record in sample.batch(1):
            yield self._transform(examples=record)[features.IMAGE].numpy()

    def test(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields pictures [batch, size, size, 3] and labels [batch] of the test split."""
        for batch in records.read(self._uri, features.TEST).batch(BATCH).prefetch(1):
            found = self._transform(examples=batch)
            yield found[features.IMAGE].numpy(), found[features.LABEL].numpy()


def convert(loaded: Any, name: str, representative: Iterator[np.ndarray]) -> bytes:
    """Returns a model as TFLite.

    Args:
      loaded: a SavedModel as `serving.export` writes it.
      name: FP16 or INT8.
      representative: pictures that the ranges of int8 are taken from, float32 [1, size, size, 3].
    """
    signature = loaded.signatures["serving_pixels"]
    (spec,) = signature.structured_input_signature[1].values()
    picture = tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, features.IMAGE)
    network = tf.function(lambda image: signature(image=image), [picture]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network], loaded)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == FP16:
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([image] for image in representative)
    return converter.convert()


def measure(
    loaded: Any, contents: dict[str, bytes], batches: Iterator[tuple[np.ndarray, np.ndarray]], max_drop: float
) -> list[Export]:
    """Runs TFLite forms of a model, and the model itself, on the same pictures.

    Args:
      loaded: the SavedModel.
      contents: the forms, by name.
      batches: pictures float32 [batch, size, size, 3] and labels [batch].
      max_drop: how far an accuracy may be below the model's.

    Returns:
      For each its accuracy, bytes, milliseconds for one picture as the median, and whether it is kept.
    """
    forms = {name: Form(content) for name, content in contents.items()}
    network = loaded.signatures["serving_pixels"]
    total = right = 0
    for pictures, labels in batches:
        total += len(labels)
        probabilities = network(image=tf.constant(pictures))["probabilities"].numpy()
        right += int((probabilities.argmax(-1) == labels).sum())
        for form in forms.values():
            form.look(pictures, labels)
    return [_export(name, form, total, right / total, max_drop) for name, form in forms.items()]


class Form:
    """A TFLite model, and what was measured of it so far."""

    def __init__(self, content: bytes) -> None:
        """Loads it from the bytes of a .tflite file."""
        self.size = len(content)
        self.right = 0
        self.seconds: list[float] = []
        self._interpreter = Interpreter(model_content=content, num_threads=THREADS)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def look(self, pictures: np.ndarray, labels: np.ndarray) -> None:
        """Classifies pictures one by one, and notes how many are right and how long each takes."""
        for picture, label in zip(pictures, labels, strict=True):
            start = time.perf_counter()
            self._interpreter.set_tensor(self._input, picture[None])
            self._interpreter.invoke()
            probabilities = self._interpreter.get_tensor(self._output)
            self.seconds.append(time.perf_counter() - start)
            self.right += int(probabilities.argmax() == label)


def _export(name: str, form: Form, total: int, expected: float, max_drop: float) -> Export:
    accuracy = form.right / total
    kept = expected - accuracy <= max_drop
    reason = f"accuracy falls from {expected:.4f} to {accuracy:.4f}, by {max_drop:.4f} it may (gate.max_export_drop)"
    latency = 1000 * statistics.median(form.seconds)
    return Export(name, kept, "" if kept else reason, form.size, accuracy, latency)
