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
    """Mean recall of all classes that a candidate must reach: the accuracy if all classes had equally many images."""
    min_class_recall: Fraction = 0.0
    """Fraction of each class's test images that a candidate must classify correctly."""
    max_accuracy_drop: Fraction = 0.01
    """How far a candidate's accuracy may be below that of the model in production, on the same images."""
    min_test_examples: Annotated[int, Field(ge=1)] = 5
    """Test images that each class needs for a verdict. For up to 1,000 images, cross-validation counts other splits too."""
    max_export_drop: Fraction = 0.01
    """How far the accuracy of a form in `exports` may be below the model's; a worse form is not kept."""
