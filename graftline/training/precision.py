"""The arithmetic of training, and how the Tuner's values change a configuration."""

import contextlib
import copy
import functools
import operator
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from graftline.network import inference


def with_values(config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Returns a copy of a configuration with other values, by setting, such as `training.phase_1.learning_rate`."""
    config = copy.deepcopy(config)
    for name, value in values.items():
        *sections, key = name.split(".")
        functools.reduce(operator.getitem, sections, config)[key] = value
    return config


AMPERE = (8, 0)  # compute capability of the first GPUs that multiply in bfloat16


def choose_arithmetic(mixed_precision: str) -> str:
    """Returns the dtype in which convolutions multiply: a smaller one if the machine gains from it."""
    if mixed_precision == "off":
        return "float32"
    if gpus := tf.config.list_physical_devices("GPU"):
        return "bfloat16" if all(map(_has_bfloat16, gpus)) else "float16"
    return "bfloat16" if inference.has_bfloat16() else "float32"


def _has_bfloat16(gpu: tf.config.PhysicalDevice) -> bool:
    """Returns whether a GPU has bfloat16, which has float32's range: float16 gradients overflow, and steps are lost."""
    return tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= AMPERE


@contextlib.contextmanager
def precision(arithmetic: str) -> Iterator[None]:
    """Builds layers in a smaller dtype on a GPU; on a CPU, all but the convolutions run faster in float32."""
    before = keras.mixed_precision.dtype_policy()
    smaller = arithmetic != "float32" and tf.config.list_physical_devices("GPU")
    keras.mixed_precision.set_dtype_policy(f"mixed_{arithmetic}" if smaller else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)
