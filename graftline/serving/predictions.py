"""How predictions are written: a line an image, as text, CSV or JSON."""

import csv
import json
from collections.abc import Callable
from typing import Literal, TextIO

import numpy as np

Kind = Literal["text", "csv", "json"]
Write = Callable[[str, np.ndarray], None]


def writer(file: TextIO, kind: Kind, label_names: list[str], top: int = 1) -> Write:
    """Returns what writes a prediction: a path and probabilities [classes].

    Args:
      file: where it is written.
      kind: `text` has path, label and probability, tabs between them; `csv` the same under a header; `json` an object with
        the probabilities of all classes.
      label_names: class names in the order of their labels.
      top: of how many classes text and CSV tell the probability, the most probable first.
    """
    if kind == "json":
        return lambda path, probabilities: print(json.dumps(_described(path, probabilities, label_names)), file=file)
    table = csv.writer(file, "excel" if kind == "csv" else "excel-tab", lineterminator="\n")
    top = min(top, len(label_names))
    if kind == "csv":
        columns = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "probability")]
        table.writerow(["path", "label", "probability", *columns])
    digits = 6 if kind == "csv" else 4

    def write(path: str, probabilities: np.ndarray) -> None:
        best = np.argsort(-probabilities, kind="stable")[:top]
        told = [text for label in best for text in (label_names[label], f"{probabilities[label]:.{digits}f}")]
        table.writerow([path, *told])

    return write


def _described(path: str, probabilities: np.ndarray, label_names: list[str]) -> dict[str, object]:
    rounded = [round(float(probability), 6) for probability in probabilities]
    label = int(np.argmax(probabilities))
    return {
        "path": path,
        "label": label_names[label],
        "probability": rounded[label],
        "probabilities": dict(zip(label_names, rounded, strict=True)),
    }
