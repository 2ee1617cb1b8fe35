"""Likely label errors: images whose neighbors in the frozen features clearly belong to another class.

A linear classifier that has not seen an image judges it, and confident learning finds the labels that such probabilities
contradict (C. Northcutt et al., Confident Learning: Estimating Uncertainty in Dataset Labels, 2021).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from graftline.features import pooled
from graftline.features.pooled import Row, Series
from graftline.training import head

MOST = 50_000  # images that are judged, drawn at random if there are more
FOLDS = 3
STRENGTH = 20.0  # weight of all images together, relative to the classifier's regularization
ITERATIONS, TOLERANCE = 200, 1e-2


@dataclass(frozen=True)
class Judged:
    """What the classifiers said about images that they had not seen.

    Attributes:
      rows: which images.
      predicted: the likeliest class of each, int64 [images].
      confidence: its probability, float [images].
      own: probability of the labeled class, float [images].
      suspects: numbers of the images whose labels are likely wrong, the likeliest first.
    """

    rows: list[Row]
    predicted: np.ndarray
    confidence: np.ndarray
    own: np.ndarray
    suspects: list[int]

    @classmethod
    def nothing(cls) -> Self:
        """Returns the result for no images."""
        return cls([], np.zeros(0, np.int64), np.zeros(0), np.zeros(0), [])


def find(folders: dict[str, str], series: Series = ()) -> Judged:
    """Judges the images of all splits, except those of classes that are too small.

    Args:
      folders: the feature folder of each split; all exist.
      series: places of images that look alike or are copies; no classifier judges an image after learning from its series.
    """
    rows, features, labels = pooled.read(folders, MOST)
    first = pooled.firsts(rows, series)
    large = np.bincount(labels[first == np.arange(len(rows))], minlength=labels.max() + 1)[labels] >= FOLDS
    rows, features, labels = (
        [row for row, kept in zip(rows, large, strict=True) if kept],
        features[large],
        labels[large],
    )
    classes, own = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return Judged.nothing()
    probabilities = _out_of_fold(features, own, pooled.firsts(rows, series))
    suspects = find_label_issues(own, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return Judged(
        rows,
        predicted=classes[probabilities.argmax(axis=1)],
        confidence=probabilities.max(axis=1),
        own=probabilities[np.arange(len(own)), own],
        suspects=[int(number) for number in suspects],
    )


@head.one_thread
def _out_of_fold(features: np.ndarray, labels: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Returns probabilities from classifiers that saw no image of the same series, whose first image decides the fold."""
    linear = LogisticRegression(C=STRENGTH / len(labels), max_iter=ITERATIONS, tol=TOLERANCE)
    classifier = make_pipeline(StandardScaler(copy=False), linear)
    (firsts,), fold = np.nonzero(first == np.arange(len(first))), np.zeros(len(first), int)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(firsts, labels[firsts])
    for number, (_, inside) in enumerate(folds):
        fold[firsts[inside]] = number
    return cross_val_predict(classifier, features, labels, cv=PredefinedSplit(fold[first]), method="predict_proba")
