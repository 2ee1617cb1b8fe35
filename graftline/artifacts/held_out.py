"""Cross-validation for small datasets, stored with the evaluation: heads answer about images they did not learn from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graftline.artifacts import intervals

HELD_OUT_FILE = "held_out.npz"  # in the Evaluator's output folder


@dataclass(frozen=True)
class HeldOut:
    """Answers by cross-validation, to one image of each series.

    Attributes:
      labels: true classes, int64 [images].
      probabilities: float [images, classes].
      tested: which of them are in the test split, bool [images].
      strength: chosen strength of the heads' penalty, as scikit-learn's C.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    tested: np.ndarray
    strength: float

    @property
    def right(self) -> np.ndarray:
        """Whether the true class is found most likely, bool [images]."""
        return self.probabilities.argmax(axis=1) == self.labels

    @property
    def accuracy(self) -> float:
        """The share of right answers, in [0, 1]."""
        return int(self.right.sum()) / len(self.right)

    @property
    def interval(self) -> intervals.Interval:
        """The 95 % interval of the accuracy."""
        return intervals.wilson(int(self.right.sum()), len(self.right))


def write(evaluation_uri: str, held_out: HeldOut) -> None:
    """Writes what the heads answered to the output folder of the Evaluator."""
    np.savez(Path(evaluation_uri, HELD_OUT_FILE), **vars(held_out))


def read(evaluation_uri: str) -> HeldOut | None:
    """Returns what the heads answered; None if the dataset is too large for cross-validation."""
    try:
        with np.load(Path(evaluation_uri, HELD_OUT_FILE), allow_pickle=False) as kept:
            return HeldOut(**(dict(kept) | {"strength": kept["strength"].item()}))
    except FileNotFoundError:
        return None
