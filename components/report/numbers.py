"""The report's numbers: accuracies, scores and confusion as TFMA measured them, and what follows from predictions."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import special
from sklearn import metrics

from components.report.content import Calibration, Curve, Numbers, Slice
from graftline.artifacts import evaluation
from graftline.artifacts.evaluation import Predictions
from graftline.artifacts.intervals import wilson
from graftline.artifacts.metrics import ACCURACY, OVERALL

BINS = 15  # of the reliability diagram
POINTS = 200  # of a curve
PARTS = 3  # slices by size or brightness, with about equally many images each
SMALLEST = 1e-7  # lowest probability in log loss, as in Keras and therefore in TFMA
ROUNDING = 1e-6  # TFMA's accuracy has 32 bits

CurveOf = Callable[
    [np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, float]
]  # from whether each image is of a class, and its score


def measure(
    evaluation_uri: str,
    predictions: Predictions,
    classes: list[str],
    looks: dict[str, tuple[np.ndarray, str]],
    temperature: float | None,
) -> Numbers:
    """Returns everything that was measured on the test split.

    Args:
      evaluation_uri: output folder of the Evaluator.
      predictions: those that it kept.
      classes: class names in the order of their labels.
      looks: by name, the values [examples] to slice images by (NaN if unknown), and their unit.
      temperature: by which the candidate divides logits; None for none.

    Raises:
      ValueError: if the predictions are not those that TFMA counted, which is a bug in this program.
    """
    measured, confusion = (
        evaluation.metrics(evaluation_uri),
        evaluation.confusion(evaluation_uri, len(classes)),
    )
    _check(measured, confusion, predictions)
    right = predictions.right
    by_look = [part for group, (values, unit) in looks.items() for part in _parts(group, values, unit, right)]
    return Numbers(
        classes=classes,
        confusion=confusion,
        scores=evaluation.class_scores(predictions),
        roc=list(_curves(predictions, classes, _roc)),
        precision_recall=list(_curves(predictions, classes, _precision_recall)),
        calibration=calibrate(predictions.labels, predictions.candidate, temperature),
        slices=[*_class_slices(predictions, classes), *by_look],
        measured={metric.key: measured[metric.key] for metric in OVERALL},
        macro_accuracy=evaluation.macro_accuracy(predictions),
        examples=len(right),
    )


def _check(measured: dict[str, float], confusion: list[list[int]], predictions: Predictions) -> None:
    counted = evaluation.counted(predictions)
    accuracy = np.trace(counted) / max(np.sum(counted), 1)
    if counted != confusion or abs(accuracy - measured[ACCURACY.key]) > ROUNDING:
        raise ValueError(f"The predictions have an accuracy of {accuracy}, but TFMA measured {measured[ACCURACY.key]}.")


def _class_slices(predictions: Predictions, classes: list[str]) -> Iterator[Slice]:
    examples = np.bincount(predictions.labels, minlength=len(classes)).tolist()
    right = np.bincount(predictions.labels[predictions.right], minlength=len(classes)).tolist()
    for name, count, correct in zip(classes, examples, right, strict=True):
        if count:
            yield Slice("class", name, count, correct / count, wilson(correct, count))


def _parts(group: str, values: np.ndarray, unit: str, right: np.ndarray) -> Iterator[Slice]:
    """Yields slices of about equally many images, from the smallest values up; none if all values are the same."""
    known = ~np.isnan(values)
    values, right = values[known], right[known]
    if not len(values):
        return
    part_of = np.searchsorted(np.quantile(values, np.arange(1, PARTS) / PARTS), values)
    parts = np.unique(part_of)
    for part in parts if len(parts) > 1 else []:
        inside = part_of == part
        count, correct = int(inside.sum()), int(right[inside].sum())
        name = f"{values[inside].min():,.0f} to {values[inside].max():,.0f} {unit}"
        yield Slice(group, name, count, correct / count, wilson(correct, count))


def _curves(predictions: Predictions, classes: list[str], curve: CurveOf) -> Iterator[Curve]:
    """Yields a curve for each class of some, but not all, examples; for two classes, the second's curve stands for both."""
    for label in [1] if len(classes) == 2 else range(len(classes)):
        is_class = predictions.labels == label
        if 0 < is_class.sum() < len(is_class):
            x, y, area = curve(is_class, predictions.candidate[:, label])
            shown = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(int))
            yield Curve(classes[label], x[shown].tolist(), y[shown].tolist(), float(area))


def _roc(is_class: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    false_rate, true_rate, _ = metrics.roc_curve(is_class, scores)
    return false_rate, true_rate, metrics.roc_auc_score(is_class, scores)


def _precision_recall(is_class: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    precision, recall, _ = metrics.precision_recall_curve(is_class, scores)
    return recall, precision, metrics.average_precision_score(is_class, scores)


def calibrate(labels: np.ndarray, probabilities: np.ndarray, temperature: float | None) -> Calibration:
    """Returns how well probabilities match accuracy, and how well they would without the temperature.

    Args:
      labels: true classes, int64 [examples].
      probabilities: float [examples, classes].
      temperature: by which the logits behind them were divided, fitted on other examples; None for none.
    """
    confidence, accuracy, examples = _bins(labels, probabilities)
    without = _without(probabilities, temperature) if temperature else probabilities
    return Calibration(
        confidence=confidence.tolist(),
        accuracy=accuracy.tolist(),
        examples=examples.tolist(),
        temperature=temperature,
        ece=_ece(labels, probabilities),
        ece_without=_ece(labels, without),
        log_loss=_log_loss(labels, probabilities),
        log_loss_without=_log_loss(labels, without),
    )


def _bins(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the mean confidence, accuracy and number of examples of each bin that has examples."""
    confidence, right = probabilities.max(axis=1).astype(float), probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    sums = [np.bincount(bins, values, BINS)[filled] / counts[filled] for values in (confidence, right)]
    return sums[0], sums[1], counts[filled]


def _ece(labels: np.ndarray, probabilities: np.ndarray) -> float:
    confidence, accuracy, examples = _bins(labels, probabilities)
    return float(np.abs(confidence - accuracy) @ examples / examples.sum())


def _log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    own = probabilities[np.arange(len(labels)), labels].astype(float)
    return float(-np.log(own.clip(SMALLEST, 1 - SMALLEST)).mean())


def _without(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the probabilities that the logits had before the division."""
    logarithms = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny), dtype=float)
    return special.softmax(temperature * logarithms, axis=1)
