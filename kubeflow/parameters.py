"""Checks the run parameters that a user gives for a run on the cluster."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from graftline.base.errors import UserError


def checked(assignments: Sequence[str], defaults: dict[str, Any]) -> dict[str, Any]:
    """Returns the run parameters that were given, with their values.

    Args:
      assignments: the parameters, each as NAME=VALUE.
      defaults: every parameter with its default, which also determines its type.

    Raises:
      UserError: if a parameter is unknown, or its value has the wrong type.
    """
    given = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in defaults:
            raise UserError(f"There is no run parameter {name!r}: choose one of {', '.join(defaults)}.")
        try:
            given[name] = TypeAdapter(type(defaults[name])).validate_python(value)
        except ValidationError:
            default = defaults[name]
            raise UserError(
                f"{name} = {value!r} is not of type {type(default).__name__}: give a value such as the default, {default}."
            ) from None
    return given
