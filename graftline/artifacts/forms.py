"""What is told of a smaller form of a model, and of a class.

Apart from the artifacts that it is read from, for these bring TFX, which takes seconds.
"""

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


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told from the others."""

    name: str
    examples: int
    precision: float
    recall: float
    f1: float
