"""What would improve a model with few photos: whether more photos would help, and of which classes.

Heads on the frozen backbone learn from a part of the photos, or from all of them, and are tested on others: if the last
photos still helped, more photos will too. This uses cached features and takes seconds.
"""

import numpy as np

from components.report.content import Advice, ClassAdvice, Learnt
from graftline.artifacts import held_out
from graftline.artifacts.intervals import wilson
from graftline.features import pooled
from graftline.features.pooled import Series
from graftline.training import head

SHARES = (0.25, 0.5, 0.75, 1.0)
DRAWS = 3  # of the folds and the parts, because it matters which photos are in them


def find(
    evaluation_uri: str, folders: dict[str, str], series: Series, classes: list[str], balanced: bool
) -> Advice | None:
    """Returns what would help; None if the Evaluator did not cross-validate, because there are many images.

    Args:
      evaluation_uri: output folder of the Evaluator.
      folders: the feature folder of each split; all exist.
      series: places of images that look alike or are copies.
      classes: class names in the order of their labels.
      balanced: whether all classes have the same weight, as in training.
    """
    evaluated = held_out.read(evaluation_uri)
    if evaluated is None:
        return None
    rows, plain, labels = pooled.read(folders, pooled.count(folders))
    first = pooled.firsts(rows, series)
    counted = first == np.arange(len(rows))
    # [draws, shares, images]: one image per series counts
    known = plain, labels, first
    right = np.stack([_right(*known, seed, evaluated.strength, balanced) for seed in range(DRAWS)])[:, :, counted]
    learnt = [_learnt(share, right[:, number], counted) for number, share in enumerate(SHARES)]
    return Advice(learnt, _classes(right.mean(axis=0), labels[counted], classes))


def _right(
    features: np.ndarray, labels: np.ndarray, first: np.ndarray, seed: int, strength: float, balanced: bool
) -> np.ndarray:
    """Returns whether heads that learned from each share of the other folds are right, bool [shares, images]."""
    fold_of = head.grouped_folds(labels, first, seed)
    position = _positions(labels, first, seed)
    right = np.zeros((len(SHARES), len(labels)), bool)
    for fold in range(head.FOLDS):
        out = fold_of == fold
        for number, share in enumerate(SHARES):
            learns = ~out & (position < share)
            if out.any() and len(np.unique(labels[learns])) > 1:
                learnt, classes = (features[learns], labels[learns]), labels.max() + 1
                asked = head.log_probabilities(*learnt, features[out], classes, (strength,), balanced)
                right[number, out] = asked[0].argmax(axis=1) == labels[out]
    return right


def _positions(labels: np.ndarray, first: np.ndarray, seed: int) -> np.ndarray:
    """Returns the position of each image in its class, in [0, 1), drawn at random; a series shares one position."""
    drawn = np.random.default_rng(seed).permutation(len(labels))[first]
    position = np.empty(len(labels))
    for label in np.unique(labels):
        inside = labels == label
        places, of_image = np.unique(drawn[inside], return_inverse=True)
        position[inside] = of_image / len(places)
    return position


def _learnt(share: float, right: np.ndarray, counted: np.ndarray) -> Learnt:
    images = right.shape[1]
    accuracy = float(right.mean())
    learnt_from = round(share * counted.sum() * (head.FOLDS - 1) / head.FOLDS)
    return Learnt(learnt_from, accuracy, wilson(round(accuracy * images), images))


def _classes(right: np.ndarray, labels: np.ndarray, classes: list[str]) -> list[ClassAdvice]:
    """Returns what more photos of each class may gain, the most promising class first."""
    half, whole = right[SHARES.index(0.5)], right[-1]
    found = []
    for label, name in enumerate(classes):
        inside = labels == label
        if inside.any():
            recall = float(whole[inside].mean())
            found.append(ClassAdvice(name, int(inside.sum()), recall, recall - float(half[inside].mean())))
    # Classes that are found anyway need no more photos; of the others, those that the last photos still helped come first
    return sorted(found, key=lambda one: (-(max(one.gain, 0) + 1 - one.recall), one.images, one.name))
