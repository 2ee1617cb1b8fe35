"""Smaller forms of a model: the artifact, its files, and what is told of each form."""

from dataclasses import dataclass

from tfx.types.artifact import Artifact

EXPORTS_FILE = "exports.json"


class Exports(Artifact):
    """Smaller forms of a model, and `exports.json`, what was measured of each."""

    TYPE_NAME = "Exports"


@dataclass(frozen=True)
class Export:
    """A smaller form of the model."""

    name: str
    kept: bool
    reason: str  # why not kept
    size: int
    accuracy: float
    latency_ms: float
