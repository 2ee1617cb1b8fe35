"""Settings of the gate: what a candidate must reach."""

from graftline.settings.data import Fraction
from graftline.settings.section import Section


class Gate(Section):
    """What a candidate must reach on the test split to be blessed."""

    min_accuracy: Fraction
    """Accuracy on the test split that a candidate must reach."""
    max_accuracy_drop: Fraction = 0.0
    """How far it may be below that of the model in production."""
    max_export_drop: Fraction = 0.01
    """How far a smaller form of the model, see `exports`, may be below the model; a worse one is not kept."""
