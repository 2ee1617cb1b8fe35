"""An inferred schema is provisional until data has passed its checks by it; until then each run infers it anew.

Else a first run on wrong data, that was refused, would say for good what right data is. Beside a schema is a file with the
hashes of all that were inferred in its place; one that a person has changed is another one, and stays.
"""

import hashlib
from pathlib import Path

from graftline.settings.settings import Settings

MARK = ".provisional"  # ends the name of that file


def is_provisional(schema: Path) -> bool:
    """Tells whether a schema was inferred, and no data has passed its checks by it yet."""
    mark = _mark(schema)
    return schema.is_file() and mark.is_file() and _digest(schema) in mark.read_text().split()


def is_due(settings: Settings) -> bool:
    """Tells whether a run infers the schema of its data: it may, and no data has passed its checks by one yet."""
    schema = settings.schema_path
    return settings.data_gate.infer_schema and (not schema.is_file() or is_provisional(schema))


def put(inferred: Path, schema: Path) -> None:
    """Moves an inferred schema to its place, as a provisional one.

    Args:
      inferred: where it was written.
      schema: its place; what is there was provisional too.
    """
    with _mark(schema).open("a") as file:  # first, so that it is provisional from the beginning
        file.write(f"{_digest(inferred)}\n")
    inferred.replace(schema)


def keep(schema: Path) -> bool:
    """Keeps a schema from now on; returns whether it was provisional."""
    provisional = is_provisional(schema)
    if _mark(schema).is_file():  # a reviewed schema has none, and may lie where nothing can be removed
        _mark(schema).unlink()
    return provisional


def _mark(schema: Path) -> Path:
    return schema.with_name(schema.name + MARK)


def _digest(schema: Path) -> str:
    return hashlib.sha256(schema.read_bytes()).hexdigest()
