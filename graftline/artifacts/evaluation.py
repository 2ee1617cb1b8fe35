"""What the Evaluator left, read: what was measured, and what the models answered."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma

from graftline.artifacts import records
from graftline.artifacts.examples import IMAGE_ID, LABEL
from graftline.artifacts.forms import ClassScore
from graftline.artifacts.metrics import ACCURACY

PROBABILITIES = "probabilities"
PREDICTIONS = "predictions"  # how the names of the files begin that hold them


def accuracies(evaluation_uri: str) -> dict[str, float]:
    """Returns the overall accuracy of the candidate and, under `baseline`, of the baseline where there was one."""
    by_model = {}
    for metrics in tfma.load_metrics(evaluation_uri):
        if metrics.slice_key.single_slice_keys:
            continue
        for item in metrics.metric_keys_and_values:
            if item.key.name == ACCURACY.key and not item.key.is_diff:
                name = "baseline" if item.key.model_name == tfma.BASELINE_KEY else "candidate"
                by_model[name] = item.value.double_value.value
    return by_model


def metrics(evaluation_uri: str) -> dict[str, float]:
    """Returns all that TFMA measured of the candidate, by the keys of the metrics.

    Args:
      evaluation_uri: output folder of the Evaluator.
    """
    values_by_key = {}
    for measured in tfma.load_metrics(evaluation_uri):
        for item in measured.metric_keys_and_values:
            if item.key.model_name != tfma.BASELINE_KEY and not item.key.is_diff:
                values_by_key[item.key.name] = item.value.double_value.value
    return values_by_key


def confusion(evaluation_uri: str, num_classes: int) -> list[list[int]]:
    """Returns TFMA's confusion matrix of the candidate: rows are true classes, columns predicted ones.

    Args:
      evaluation_uri: output folder of the Evaluator.
      num_classes: number of classes.
    """
    matrix = [[0] * num_classes for _ in range(num_classes)]
    for plots in tfma.load_plots(evaluation_uri):
        for item in plots.plot_keys_and_values:
            if not plots.slice_key.single_slice_keys and item.key.model_name != tfma.BASELINE_KEY:
                for counted in item.value.multi_class_confusion_matrix_at_thresholds.matrices:
                    for entry in counted.entries:
                        matrix[entry.actual_class_id][entry.predicted_class_id] += round(entry.num_weighted_examples)
    return matrix


@dataclass(frozen=True)
class Predictions:
    """What the models answered to each test example, in the order of their ids.

    Attributes:
      image_ids: an id an example.
      labels: true classes, int64 [examples].
      candidate: probabilities, float32 [examples, classes].
      baseline: the same of the baseline; None where there was none.
    """

    image_ids: list[str]
    labels: np.ndarray
    candidate: np.ndarray
    baseline: np.ndarray | None

    @property
    def predicted(self) -> np.ndarray:
        """Classes that the candidate takes for the likeliest, int64 [examples]."""
        return self.candidate.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Whether the candidate takes the true class for the likeliest, bool [examples]."""
        return self.predicted == self.labels

    @property
    def baseline_right(self) -> np.ndarray | None:
        """The same of the baseline; None where there was none."""
        return None if self.baseline is None else self.baseline.argmax(axis=1) == self.labels


def class_scores(answers: Predictions, classes: list[str]) -> list[ClassScore]:
    """Returns the scores of each class; 0 of one that is never answered, or has no examples.

    Args:
      answers: what the candidate answered.
      classes: class names in the order of their labels.
    """
    from sklearn.metrics import precision_recall_fscore_support  # takes a second to import

    scores = precision_recall_fscore_support(
        answers.labels, answers.predicted, labels=range(len(classes)), zero_division=0
    )
    return [
        ClassScore(name, int(count), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, count in zip(classes, *scores, strict=True)
    ]


def predictions(evaluation_uri: str) -> Predictions:
    """Returns the predictions that the Evaluator kept.

    Args:
      evaluation_uri: its output folder.
    """
    files = [str(path) for path in sorted(Path(evaluation_uri).glob(f"{PREDICTIONS}-*"))]
    packed = tf.data.TFRecordDataset(files).with_options(records.options()).as_numpy_iterator()
    batches = [np.load(io.BytesIO(record)) for record in packed]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(columns[IMAGE_ID], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    ids, labels, candidate = columns[IMAGE_ID].tolist(), columns[LABEL], columns[tfma.CANDIDATE_KEY]
    return Predictions(ids, labels, candidate, columns.get(tfma.BASELINE_KEY))
