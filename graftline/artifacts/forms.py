"""What is reported about a smaller form of a model, and about a class.

Separate from the artifacts that it is read from, because those import TFX, which takes seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """A smaller form of the model."""

    name: str
    kept: bool
    reason: str  # why it was not kept
    size: int
    accuracy: float
    latency_ms: float


@dataclass(frozen=True)
class ClassScore:
    """How well the model distinguishes one class from the others."""

    name: str
    examples: int
    precision: float
    recall: float
    f1: float
