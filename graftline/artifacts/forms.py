"""What is told of a smaller form of a model; apart from its artifact, for that brings TFX, which takes seconds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """A smaller form of the model."""

    name: str
    kept: bool
    reason: str  # why not kept
    size: int
    accuracy: float
    latency_ms: float
