"""TensorFlow Serving's REST form of prediction: what is asked is read, what is answered written.

https://www.tensorflow.org/tfx/serving/api_rest: `instances` is a row form, `inputs` a column form, and bytes are
`{"b64": "…"}`.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

DEFAULT_SIGNATURE = "serving_default"


class RequestError(Exception):
    """What is told to a client whose request cannot be answered.

    Attributes:
      status: of HTTP.
      message: one sentence.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Question:
    """A request to predict.

    Attributes:
      signature: its name.
      rows: a value of its one input for each image.
      in_columns: whether the answer is wanted in columns.
    """

    signature: str
    rows: list[Any]
    in_columns: bool


def one_input(function: Any) -> tuple[str, tf.TensorSpec]:
    """Returns name and kind of a signature's one input."""
    [(name, spec)] = function.structured_input_signature[1].items()
    return name, spec


def read(body: bytes, signatures: Mapping[str, Any]) -> Question:
    """Returns what a request asks.

    Args:
      body: JSON.
      signatures: functions of the model by their names, of one input each.

    Raises:
      RequestError: where it does not make sense, or asks for what is not there.
    """
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"JSON Parse error: {error}.") from None
    if not isinstance(request, dict) or len({"instances", "inputs"} & set(request)) != 1:
        raise RequestError(400, "The request must be an object with either 'instances' or 'inputs'.")
    signature = request.get("signature_name") or DEFAULT_SIGNATURE
    if not isinstance(signature, str) or signature not in signatures:
        raise RequestError(400, f'Serving signature name: "{signature}" not found in signature def.')
    name, spec = one_input(signatures[signature])
    in_columns = "inputs" in request
    values = _named(request["inputs"], name) if in_columns else request["instances"]
    if not isinstance(values, list) or not values:
        raise RequestError(
            400, f"'{'inputs' if in_columns else 'instances'}' must hold a list of at least one {name!r}."
        )
    rows = [_value(value if in_columns else _named(value, name), name, spec) for value in values]
    return Question(signature, rows, in_columns)


def _named(value: Any, name: str) -> Any:
    """Returns the value of an input that is given by name, or as it is, for there is only one."""
    if not isinstance(value, dict) or set(value) == {"b64"}:
        return value
    if set(value) != {name}:
        raise RequestError(
            400, f"The signature has one input, {name!r}, but the request has {', '.join(map(repr, value))}."
        )
    return value[name]


def _value(value: Any, name: str, spec: tf.TensorSpec) -> Any:
    if spec.dtype == tf.string:
        return _bytes(value, name)
    try:
        with np.errstate(over="ignore"):  # it becomes infinite, and is refused as such
            found = np.array(value, spec.dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError):
        raise RequestError(400, f"{name!r} holds what is no {spec.dtype.name}, or rows of unequal length.") from None
    if not np.isfinite(found).all():  # whose probabilities would be no numbers either
        raise RequestError(400, f"{name!r} holds numbers that are not finite.")
    if not spec.shape[1:].is_compatible_with(found.shape):
        raise RequestError(400, f"{name!r} has the shape {list(found.shape)}, not {spec.shape[1:].as_list()}.")
    return found


def _bytes(value: Any, name: str) -> bytes:
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(400, f"Unable to base64 decode what is given for {name!r}.") from None
    raise RequestError(400, f'{name!r} must be a string, or bytes as {{"b64": "…"}}.')


def answer(question: Question, answers: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Returns the answer's JSON: of one output its values alone, of several an object by their names.

    Args:
      question: what was asked.
      answers: outputs by their names, for each row.
    """
    rows = [{name: _plain(output) for name, output in row.items()} for row in answers]
    names = list(rows[0])
    if not question.in_columns:
        return {"predictions": [row[names[0]] for row in rows] if len(names) == 1 else rows}
    columns = {name: [row[name] for row in rows] for name in names}
    return {"outputs": columns[names[0]] if len(names) == 1 else columns}


def _plain(output: np.ndarray) -> Any:
    if isinstance(output, bytes):
        return output.decode(errors="replace")
    return output.tolist()
