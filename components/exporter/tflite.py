"""Converts a model to TFLite, and measures the result against the model itself."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from graftline.artifacts.examples import IMAGE
from graftline.artifacts.forms import Export

FP16, INT8 = "tflite_fp16", "tflite_int8"

THREADS = 2  # of the interpreter


def convert(loaded: Any, name: str, representative: Iterator[np.ndarray]) -> bytes:
    """Returns a model as TFLite.

    Args:
      loaded: a SavedModel as `export` writes it.
      name: FP16 or INT8.
      representative: images that determine the ranges of int8, float32 [1, size, size, 3].
    """
    signature = loaded.signatures["serving_pixels"]
    (spec,) = signature.structured_input_signature[1].values()
    encoded = tf.TensorSpec([1, *spec.shape[1:]], spec.dtype, IMAGE)
    network = tf.function(lambda image: _probabilities(signature, image), [encoded]).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network], loaded)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if name == FP16:
        converter.target_spec.supported_types = [tf.float16]
    else:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: ([image] for image in representative)
    return converter.convert()


def _probabilities(signature: Any, image: tf.Tensor) -> dict[str, tf.Tensor]:
    return {"probabilities": signature(image=image)["probabilities"]}


def measure(
    loaded: Any, contents: dict[str, bytes], batches: Iterator[tuple[np.ndarray, np.ndarray]], max_drop: float
) -> list[Export]:
    """Runs TFLite forms of a model, and the model itself, on the same images.

    Args:
      loaded: the SavedModel.
      contents: the forms, by name.
      batches: images float32 [batch, size, size, 3] and labels [batch].
      max_drop: how far an accuracy may be below the model's.

    Returns:
      For each form its accuracy, size in bytes, median milliseconds per image, and whether it is kept.
    """
    forms = {name: Form(content) for name, content in contents.items()}
    network = loaded.signatures["serving_pixels"]
    total = right = 0
    for images, labels in batches:
        total += len(labels)
        probabilities = network(image=tf.constant(images))["probabilities"].numpy()
        right += int((probabilities.argmax(-1) == labels).sum())
        for form in forms.values():
            form.look(images, labels)
    return [_export(name, form, total, right / total, max_drop) for name, form in forms.items()]


class Form:
    """A TFLite model, and its measurements so far."""

    def __init__(self, content: bytes) -> None:
        """Loads the model from the bytes of a .tflite file."""
        self.size = len(content)
        self.right = 0
        self.seconds: list[float] = []
        self._interpreter = Interpreter(model_content=content, num_threads=THREADS)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def look(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Classifies images one by one, and records how many are right and how long each takes."""
        for image, label in zip(images, labels, strict=True):
            start = time.perf_counter()
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            probabilities = self._interpreter.get_tensor(self._output)
            self.seconds.append(time.perf_counter() - start)
            self.right += int(probabilities.argmax() == label)


def _export(name: str, form: Form, total: int, expected: float, max_drop: float) -> Export:
    accuracy = form.right / total
    kept = expected - accuracy <= max_drop
    reason = f"accuracy drops from {expected:.4f} to {accuracy:.4f}, but gate.max_export_drop is {max_drop:.4f}"
    latency = 1000 * statistics.median(form.seconds)
    return Export(name, kept, "" if kept else reason, form.size, accuracy, latency)
