"""Predictions, and how they are written: one line per image, as text, CSV or JSON."""

import csv
import json
from collections.abc import Callable
from typing import Literal, NamedTuple, TextIO

import numpy as np

Kind = Literal["text", "csv", "json"]
STRANGER = "not one of these"  # how text output marks an image that is not like any training image


class Prediction(NamedTuple):
    """What a model answers about an image.

    Attributes:
      probabilities: float32 [classes].
      known: whether the image is like the training images; True if the model cannot tell.
    """

    probabilities: np.ndarray
    known: bool


Write = Callable[[str, Prediction], None]


def writer(file: TextIO, kind: Kind, label_names: list[str], top: int = 1) -> Write:
    """Returns a function that writes a prediction for a path.

    Args:
      file: where predictions are written.
      kind: `text` has path, label and probability, separated by tabs, and then STRANGER if the image is not known; `csv` has
        the same under a header, with a last column `known`; `json` has an object with the probabilities of all classes.
      label_names: class names in the order of their labels.
      top: for how many classes text and CSV give the probability, the most probable first.
    """
    if kind == "json":
        return lambda path, found: print(json.dumps(_described(path, found, label_names)), file=file)
    table = csv.writer(file, "excel" if kind == "csv" else "excel-tab", lineterminator="\n")
    top = min(top, len(label_names))
    if kind == "csv":
        columns = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability")]
        table.writerow(["path", "label", "probability", *columns, "known"])
    digits = 6 if kind == "csv" else 4

    def write(path: str, found: Prediction) -> None:
        best = np.argsort(-found.probabilities, kind="stable")[:top]
        told = [text for label in best for text in (label_names[label], f"{found.probabilities[label]:.{digits}f}")]
        if kind == "csv":
            told.append(str(found.known).lower())
        elif not found.known:
            told.append(STRANGER)
        table.writerow([path, *told])

    return write


def _described(path: str, found: Prediction, label_names: list[str]) -> dict[str, object]:
    rounded = [round(float(probability), 6) for probability in found.probabilities]
    label = int(np.argmax(found.probabilities))
    return {
        "path": path,
        "label": label_names[label],
        "probability": rounded[label],
        "known": found.known,
        "probabilities": dict(zip(label_names, rounded, strict=True)),
    }
