"""Runs the frozen prefix of the network, or a whole exported one, on the fastest engine. No other module knows which it is.

On CPUs that is OpenVINO, more than twice as fast as TensorFlow with the same float32 arithmetic; on GPUs it is TensorFlow.
"""

import importlib.util
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from graftline.base.errors import UserError
from graftline.settings.training import Prefix

STREAMS = 2  # batches computed in parallel: with only one, cores wait for each other at the end of each operation

Run = Callable[[np.ndarray], tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Engine:
    """Which engine runs, and how precisely; both change the output slightly, so both are in the cache key."""

    name: str
    precision: str


def choose(prefix: Prefix) -> Engine:
    """Resolves `auto`.

    Args:
      prefix: `engine` and `precision`. For the engine, `auto` is OpenVINO, or TensorFlow on GPUs and if OpenVINO is not
        installed. For the precision, `auto` is float32: over five seeds bfloat16 was as good on validation, but 0.3 points
        worse on test, see docs/explanation/performance.md.

    Raises:
      UserError: if the settings ask for OpenVINO, which is not installed, or for bfloat16, which the engine or processor
        does not support.
    """
    installed = _openvino_is_installed()
    name = prefix.engine
    if name == "auto":
        name = "openvino" if installed and not tf.config.list_physical_devices("GPU") else "tensorflow"
    precision = "float32" if prefix.precision == "auto" else prefix.precision
    if name == "openvino" and not installed:
        raise UserError("prefix.engine = 'openvino': OpenVINO is not installed; set it to auto or tensorflow.")
    if precision == "bfloat16" and not (name == "openvino" and has_bfloat16()):
        raise UserError(
            f"prefix.precision = 'bfloat16': {name} on this processor does not support it; set it to auto or float32."
        )
    return Engine(name, precision)


def _openvino_is_installed() -> bool:
    return importlib.util.find_spec("openvino") is not None


def has_bfloat16() -> bool:
    """Returns whether the processor multiplies in bfloat16, according to OpenVINO; False if that is not installed."""
    if not _openvino_is_installed():
        return False
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def compile_prefix(prefix: keras.Model, engine: Engine) -> Run:
    """Compiles a network for inference.

    Args:
      prefix: a model from images [batch, size, size, 3] to an activation and pooled features.
      engine: the engine that runs it.

    Returns:
      A function from float32 images to float32 activation and features, see `compile_function`.
    """
    return compile_function(_traced(prefix), engine)


def compile_function(function: tf.types.experimental.ConcreteFunction, engine: Engine) -> Run:
    """Compiles a traced function, of a network in memory or of a SavedModel, for inference.

    Args:
      function: from images [batch, size, size, 3] to one or more tensors.
      engine: the engine that runs it.

    Returns:
      A thread-safe function from float32 images to arrays; the arrays are valid until the thread's next call.
    """
    return _openvino(function, engine.precision) if engine.name == "openvino" else _tensorflow(function)


def _tensorflow(function: tf.types.experimental.ConcreteFunction) -> Run:
    # Folding would be a little faster, but without it the output is bit for bit what training sees without a cache
    return lambda images: tuple(output.numpy() for output in tf.nest.flatten(function(tf.constant(images))))


def _traced(prefix: keras.Model) -> tf.types.experimental.ConcreteFunction:
    images = tf.TensorSpec([None, *prefix.input.shape[1:]], tf.float32)
    return tf.function(lambda batch: prefix(batch, training=False), [images], autograph=False).get_concrete_function()


def _openvino(function: tf.types.experimental.ConcreteFunction, precision: str) -> Run:
    import openvino

    # Variables become constants, because OpenVINO cannot read the variables of a Keras 3 SavedModel
    frozen = convert_variables_to_constants_v2(function)
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.pb")
        path.write_bytes(frozen.graph.as_graph_def().SerializeToString())
        graph = core.read_model(path)
        hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
        compiled = core.compile_model(graph, "CPU", {"NUM_STREAMS": STREAMS, "INFERENCE_PRECISION_HINT": hint})
    own = threading.local()

    def run(images: np.ndarray) -> tuple[np.ndarray, ...]:
        if not hasattr(own, "request"):
            own.request = compiled.create_infer_request()
        return own.request.infer({0: images}, share_inputs=True, share_outputs=True).to_tuple()

    return run
