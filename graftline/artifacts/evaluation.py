"""Reads the Evaluator's output: what it measured, and what the models answered."""

import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma

from graftline.artifacts import records
from graftline.artifacts.examples import IMAGE_ID, LABEL
from graftline.artifacts.forms import ClassScore

PROBABILITIES = "probabilities"
PREDICTIONS = "predictions"  # prefix of the names of the files with the answers
CLASSES_FILE = "classes.json"  # next to them: class names by model
CANDIDATE = "candidate"  # name of the candidate there


def metrics(evaluation_uri: str) -> dict[str, float]:
    """Returns everything TFMA measured of the candidate, by the keys of the metrics.

    Args:
      evaluation_uri: output folder of the Evaluator.
    """
    values_by_key = {}
    for measured in tfma.load_metrics(evaluation_uri):
        for item in measured.metric_keys_and_values:
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
            if not plots.slice_key.single_slice_keys:
                for counted in item.value.multi_class_confusion_matrix_at_thresholds.matrices:
                    for entry in counted.entries:
                        matrix[entry.actual_class_id][entry.predicted_class_id] += round(entry.num_weighted_examples)
    return matrix


@dataclass(frozen=True)
class Opponent:
    """A model that a candidate is compared with.

    Attributes:
      classes: its class names in the order of their labels.
      probabilities: its answer to each test example, float32 [examples, classes].
    """

    classes: list[str]
    probabilities: np.ndarray


@dataclass(frozen=True)
class Predictions:
    """What the models answered to each test example, in the order of their ids.

    Attributes:
      classes: class names in the order of their labels.
      image_ids: one id per example.
      labels: true classes, int64 [examples].
      candidate: probabilities, float32 [examples, classes].
      opponents: what other models answered, by their role: `versions.PRODUCTION`, `versions.BEST`.
    """

    classes: list[str]
    image_ids: list[str]
    labels: np.ndarray
    candidate: np.ndarray
    opponents: dict[str, Opponent] = field(default_factory=dict)

    @property
    def predicted(self) -> np.ndarray:
        """The class that the candidate finds most likely, int64 [examples]."""
        return self.candidate.argmax(axis=1)

    @property
    def right(self) -> np.ndarray:
        """Whether the candidate finds the true class most likely, bool [examples]."""
        return self.predicted == self.labels


@dataclass(frozen=True)
class Comparison:
    """Two models on the images of the classes that both know, matched by name, with no other class to choose.

    Attributes:
      classes: names of these classes.
      right: whether the candidate is right, bool [images].
      other: whether the opponent is right, bool [images].
    """

    classes: list[str]
    right: np.ndarray
    other: np.ndarray

    @property
    def difference(self) -> float:
        """Accuracy of the candidate minus that of the opponent, from counts, so that rounding cannot decide."""
        return int(self.right.sum() - self.other.sum()) / max(len(self.right), 1)


def compare(answers: Predictions, name: str) -> Comparison:
    """Compares the candidate with another model.

    Args:
      answers: what the models answered.
      name: which of `answers.opponents`.
    """
    opponent = answers.opponents[name]
    shared = [label for label, known in enumerate(answers.classes) if known in opponent.classes]
    theirs = [opponent.classes.index(answers.classes[label]) for label in shared]
    inside = np.isin(answers.labels, shared)
    classes = [answers.classes[label] for label in shared]
    if not inside.any():
        return Comparison(classes, np.empty(0, bool), np.empty(0, bool))
    true = np.searchsorted(shared, answers.labels[inside])
    of_candidate, of_other = answers.candidate[inside][:, shared], opponent.probabilities[inside][:, theirs]
    return Comparison(classes, of_candidate.argmax(axis=1) == true, of_other.argmax(axis=1) == true)


def counted(answers: Predictions) -> list[list[int]]:
    """Returns the confusion matrix of the candidate: rows are true classes, columns predicted ones."""
    counts = np.zeros((len(answers.classes), len(answers.classes)), int)
    np.add.at(counts, (answers.labels, answers.predicted), 1)
    return counts.tolist()


def accuracies(answers: Predictions) -> dict[str, float]:
    """Returns the test accuracy of each model by its role; an opponent's on the classes that the candidate also knows."""
    others = {name: compare(answers, name).other for name in answers.opponents}
    return {
        name: int(right.sum()) / max(len(right), 1) for name, right in ({CANDIDATE: answers.right} | others).items()
    }


def macro_accuracy(answers: Predictions) -> float:
    """Returns the mean recall of all classes that have examples."""
    counts = np.bincount(answers.labels, minlength=len(answers.classes))
    found = np.bincount(answers.labels[answers.right], minlength=len(answers.classes))
    return float((found[counts > 0] / counts[counts > 0]).mean())


def class_scores(answers: Predictions) -> list[ClassScore]:
    """Returns the scores of each class; 0 for a class that is never predicted or has no examples.

    Args:
      answers: what the candidate answered.
    """
    from sklearn.metrics import precision_recall_fscore_support  # takes a second to import

    scores = precision_recall_fscore_support(
        answers.labels, answers.predicted, labels=range(len(answers.classes)), zero_division=0
    )
    return [
        ClassScore(name, int(count), float(precision), float(recall), float(f1))
        for name, precision, recall, f1, count in zip(answers.classes, *scores, strict=True)
    ]


def predictions(evaluation_uri: str) -> Predictions:
    """Returns the predictions that the Evaluator wrote.

    Args:
      evaluation_uri: its output folder.
    """
    names: dict[str, list[str]] = json.loads(Path(evaluation_uri, CLASSES_FILE).read_text())
    files = [str(path) for path in sorted(Path(evaluation_uri).glob(f"{PREDICTIONS}-*"))]
    packed = tf.data.TFRecordDataset(files).with_options(records.options()).as_numpy_iterator()
    batches = [np.load(io.BytesIO(record)) for record in packed]
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    order = np.argsort(columns[IMAGE_ID], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    return Predictions(
        classes=names.pop(CANDIDATE),
        image_ids=columns[IMAGE_ID].tolist(),
        labels=columns[LABEL],
        candidate=columns[CANDIDATE],
        opponents={name: Opponent(classes, columns[name]) for name, classes in names.items()},
    )


def write_classes(evaluation_uri: str, names: dict[str, list[str]]) -> None:
    """Writes the models' class names, by the role of the model, in the order of their labels."""
    Path(evaluation_uri, CLASSES_FILE).write_text(json.dumps(names))
