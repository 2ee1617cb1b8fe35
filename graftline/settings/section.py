"""The base class of all sections of the settings, which are in the other files here."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, SecretStr


class Section(BaseModel):
    """Settings of one part of the pipeline: immutable, no unknown keys, a line below each describes it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


def listed(value: Any) -> Any:
    """Splits text at commas, because that is easier to type than a list; returns anything else unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields nested settings as pairs of a full key, such as `training.phase_1.epochs`, and its value."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def text(value: Any) -> str:
    """Returns the value of a setting as text."""
    return value if isinstance(value, str) else json.dumps(value)


def section_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Returns the model of a field that is a section, optional or not; None for any other field."""
    return next((kind for kind in _kinds(model.model_fields[name].annotation) if issubclass(kind, BaseModel)), None)


def secrets(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Returns the keys of the settings that are secret by their type.

    Args:
      model: the settings, or a section of them.
      prefix: text to put before its keys.
    """
    found = []
    for name, field in model.model_fields.items():
        section = section_of(model, name)
        if section:
            found += secrets(section, f"{prefix}{name}.")
        elif SecretStr in _kinds(field.annotation):
            found.append(prefix + name)
    return found


def _kinds(annotation: Any) -> list[type]:
    """Returns the classes that an annotation names, at any depth."""
    inner = [kind for argument in get_args(annotation) for kind in _kinds(argument)]
    return [annotation, *inner] if isinstance(annotation, type) else inner
