"""Settings of the gate: what a candidate must reach."""

from typing import Annotated

from pydantic import Field

from graftline.settings.data import Fraction
from graftline.settings.section import Section


class Gate(Section):
    """What a candidate must reach on the test split to be blessed."""

    min_accuracy: Fraction
    """Accuracy on the test split that a candidate must reach."""
    min_macro_accuracy: Fraction = 0.0
    """Mean of the recalls of all classes that a candidate must reach: what accuracy would be if all had as many images."""
    min_class_recall: Fraction = 0.0
    """Share of the test images of each class that a candidate must call by their name."""
    max_accuracy_drop: Fraction = 0.01
    """How far its accuracy may be below that of the model in production, on the same images."""
    min_test_examples: Annotated[int, Field(ge=1)] = 5
    """How many test images each class must have; with fewer the candidate cannot be judged. Up to 1,000 images those of
    other splits count too, by cross-validation."""
    max_export_drop: Fraction = 0.01
    """How far a smaller form of the model, see `exports`, may be below the model; a worse one is not kept."""
