"""Keeps an inferred schema provisional until data has passed its checks; until then each run infers it again.

Otherwise a first run on wrong data, though refused, would decide for good what right data looks like. A file next to the
schema has the hashes of all schemas inferred in its place. A schema that a person has changed is not among them, and stays.
"""

import hashlib
from pathlib import Path

from graftline.settings.settings import Settings

MARK = ".provisional"  # suffix of that file's name


def is_provisional(schema: Path) -> bool:
    """Returns whether a schema was inferred and no data has passed its checks yet."""
    mark = _mark(schema)
    return schema.is_file() and mark.is_file() and _digest(schema) in mark.read_text().split()


def is_due(settings: Settings) -> bool:
    """Returns whether a run infers its schema: it may, and no data has passed the checks of one yet."""
    schema = settings.schema_path
    return settings.data_gate.infer_schema and (not schema.is_file() or is_provisional(schema))


def put(inferred: Path, schema: Path) -> None:
    """Moves an inferred schema to its place, as a provisional one.

    Args:
      inferred: where it was written.
      schema: its place; anything there is provisional too.
    """
    with _mark(schema).open("a") as file:  # first, so that it is provisional from the beginning
        file.write(f"{_digest(inferred)}\n")
    inferred.replace(schema)


def keep(schema: Path) -> bool:
    """Makes a schema permanent; returns whether it was provisional."""
    provisional = is_provisional(schema)
    if _mark(schema).is_file():  # a reviewed schema has none, and its folder may not be writable
        _mark(schema).unlink()
    return provisional


def _mark(schema: Path) -> Path:
    return schema.with_name(schema.name + MARK)


def _digest(schema: Path) -> str:
    return hashlib.sha256(schema.read_bytes()).hexdigest()
