"""The arithmetic of training, and the configuration that the Tuner's values change."""

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
    """Returns a configuration with other values, each under the setting's name, such as `training.phase_1.learning_rate`."""
    config = copy.deepcopy(config)
    for name, value in values.items():
        *sections, key = name.split(".")
        functools.reduce(operator.getitem, sections, config)[key] = value
    return config


def choose_arithmetic(mixed_precision: str) -> str:
    """Returns the dtype in which convolutions multiply: a smaller one where the machine gains from it."""
    if mixed_precision == "off":
        return "float32"
    if tf.config.list_physical_devices("GPU"):
        return "float16"
    return "bfloat16" if inference.has_bfloat16() else "float32"


@contextlib.contextmanager
def precision(arithmetic: str) -> Iterator[None]:
    """Builds layers in float16 on a GPU; on a CPU all but the convolutions is faster in float32."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16" if arithmetic == "float16" else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)
