"""The parameters of a run on the cluster, as a person gives them."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from graftline.base.errors import UserError


def checked(assignments: Sequence[str], defaults: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a run that were given.

    Args:
      assignments: NAME=VALUE each.
      defaults: every parameter with its default, whose type its values have.

    Raises:
      UserError: where one is not known, or its value is not of its type.
    """
    given = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in defaults:
            raise UserError(f"There is no run parameter {name!r}: the known ones are {', '.join(defaults)}.")
        try:
            given[name] = TypeAdapter(type(defaults[name])).validate_python(value)
        except ValidationError:
            default = defaults[name]
            raise UserError(
                f"{name} = {value!r} is not of type {type(default).__name__}: its default is {default}."
            ) from None
    return given
