"""TensorFlow Serving's REST form of prediction: reads requests and writes answers.

https://www.tensorflow.org/tfx/serving/api_rest: `instances` is the row form, `inputs` the column form, and bytes are written
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
    """A request cannot be answered.

    Attributes:
      status: the HTTP status.
      message: a sentence for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Question:
    """A prediction request.

    Attributes:
      signature: its name.
      rows: the value of its one input, per image.
      in_columns: whether the client wants the answer in columns.
    """

    signature: str
    rows: list[Any]
    in_columns: bool


def one_input(function: Any) -> tuple[str, tf.TensorSpec]:
    """Returns name and spec of a signature's only input."""
    [(name, spec)] = function.structured_input_signature[1].items()
    return name, spec


def read(body: bytes, signatures: Mapping[str, Any]) -> Question:
    """Reads a request.

    Args:
      body: JSON.
      signatures: the model's functions by name, with one input each.

    Raises:
      RequestError: if it is malformed, or names something that does not exist.
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
    """Returns the value of the only input, which a client may give with or without its name."""
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
        with np.errstate(over="ignore"):  # too large a number becomes infinite, which is refused below
            found = np.array(value, spec.dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError):
        raise RequestError(
            400, f"{name!r} holds values that are not {spec.dtype.name}, or rows of unequal length."
        ) from None
    if not np.isfinite(found).all():  # their probabilities would not be numbers either
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
            raise RequestError(400, f"Unable to base64 decode the value of {name!r}.") from None
    raise RequestError(400, f'{name!r} must be a string, or bytes as {{"b64": "…"}}.')


def answer(question: Question, answers: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Returns the answer's JSON: the bare values if there is one output, else objects with the outputs by name.

    Args:
      question: the request.
      answers: for each row its outputs by name.
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
