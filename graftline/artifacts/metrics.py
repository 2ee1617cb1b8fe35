"""What TFMA measures of a candidate, each number once: what it is asked for, and what people read.

A number that is added here is computed by the Evaluator, is shown by report and card, and compared by `graftline compare`.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A number that the Evaluator measures.

    Attributes:
      key: its name in TFMA's results.
      title: what people call it.
      class_name: TFMA's or Keras's class that computes it.
      arguments: of that class.
      form: how its value is written.
    """

    key: str
    title: str
    class_name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    form: str = ".4f"

    def shown(self, value: float) -> str:
        """Returns a value as people read it."""
        return format(value, self.form)


ACCURACY = Metric("sparse_categorical_accuracy", "test accuracy", "SparseCategoricalAccuracy")
LOG_LOSS = Metric("sparse_categorical_crossentropy", "log loss", "SparseCategoricalCrossentropy")
EXAMPLES = Metric("example_count", "test images", "ExampleCount", form=",.0f")

OVERALL = [EXAMPLES, ACCURACY, LOG_LOSS]
BY_KEY = {metric.key: metric for metric in OVERALL}
