"""What TFMA measures of a candidate, each metric once: how TFMA computes it, and how people see it.

For a metric that is added here, the Evaluator computes it, report and card show it, and `graftline compare` compares it.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A metric that the Evaluator computes.

    Attributes:
      key: its name in TFMA's results.
      title: its name for people.
      class_name: the class of TFMA or Keras that computes it.
      arguments: arguments of that class.
      form: format of its value.
    """

    key: str
    title: str
    class_name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    form: str = ".4f"

    def shown(self, value: float) -> str:
        """Returns a value as it is shown to people."""
        return format(value, self.form)


ACCURACY = Metric("sparse_categorical_accuracy", "test accuracy", "SparseCategoricalAccuracy")
LOG_LOSS = Metric("sparse_categorical_crossentropy", "log loss", "SparseCategoricalCrossentropy")
EXAMPLES = Metric("example_count", "test images", "ExampleCount", form=",.0f")

OVERALL = [EXAMPLES, ACCURACY, LOG_LOSS]
BY_KEY = {metric.key: metric for metric in OVERALL}
