"""Solves the head: logistic regression on the pooled features of the frozen backbone.

The problem is convex, so L-BFGS finds its one solution in seconds, where gradient steps only come near it. Cross-validation,
in which an image is never on both sides, chooses the strength of the penalty that keeps the solution small.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from graftline.features.cache import POOLED, CachedSplit, Rows
from graftline.network import losses

MOST_ROWS = 50_000  # with features of 1,280 channels, a quarter of a gigabyte, which the solver holds twice
STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
FOLDS = 5
MANY = 5000  # with more images than this, one fold is enough to choose the strength
ITERATIONS = 100
# Threads wait for each other at each of thousands of small products: one thread is 10 times as fast, 50 on a busy machine
one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
LOWEST = np.log(1e-6)  # log probability: one confident mistake does not decide the choice


class Solution(NamedTuple):
    """A head.

    Attributes:
      kernel: float32 [channels, 1 or classes].
      bias: float32 [1 or classes].
      strength: weight of an image's likelihood against the penalty, scikit-learn's C.
    """

    kernel: np.ndarray
    bias: np.ndarray
    strength: float


def is_solvable(train: CachedSplit) -> bool:
    """Returns whether the features of a split are few enough to be held in memory."""
    return train.examples * len(train.views) <= MOST_ROWS


def solve(train: CachedSplit, seed: int, balanced: bool = False) -> Solution:
    """Solves the head on the features of a split.

    Args:
      train: features of the training split, with at least one image of each class.
      seed: draws the folds.
      balanced: whether all classes count alike, however many images each has.
    """
    rows = Rows(train.views, POOLED)
    views, labels = len(train.views), rows.labels[: train.examples]
    features = rows.read(np.arange(views * train.examples))[0].astype(np.float32)
    return solved(features.reshape(views, train.examples, -1), labels, seed, balanced)


def solved(features: np.ndarray, labels: np.ndarray, seed: int, balanced: bool = False) -> Solution:
    """Solves a head.

    Args:
      features: float32 [views, images, channels]; the first view shows the images as they are.
      labels: int64 [images], from 0, each class at least once.
      seed: draws the folds.
      balanced: as for `solve`.
    """
    # The plain view is enough to choose the strength, and several times faster than all views
    strength, _ = cross_validated(features[0], labels, folds(labels, seed), balanced)
    kernel, bias = _fitted(features, labels, strength, balanced)
    return Solution(kernel, bias, strength)


def cross_validated(
    features: np.ndarray, labels: np.ndarray, fold_of: np.ndarray, balanced: bool = False
) -> tuple[float, np.ndarray]:
    """Chooses the strength by cross-validation.

    Args:
      features: float32 [images, channels].
      labels: int64 [images], from 0.
      fold_of: the fold of each image, int [images].
      balanced: as for `solve`.

    Returns:
      The strength, and probabilities, float [images, classes], each image's by a head that did not learn from its fold; NaN
      for images of folds that were not computed.
    """
    tried = np.full((len(STRENGTHS), len(labels), labels.max() + 1), np.nan)
    for fold in range(FOLDS if len(labels) <= MANY else 1):
        out = fold_of == fold
        if out.any() and len(np.unique(labels[~out])) > 1:
            learnt = features[~out], labels[~out]
            tried[:, out] = log_probabilities(*learnt, features[out], labels.max() + 1, balanced=balanced)
    of_label = np.take_along_axis(tried, labels[None, :, None], axis=2)[..., 0]
    measured = ~np.isnan(of_label[0])
    counts = losses.balanced(labels, labels.max() + 1)[labels] if balanced else np.ones(len(labels))
    told = (of_label * counts)[:, measured].sum(axis=1)
    best = int(told.argmax()) if measured.any() else len(STRENGTHS) // 2
    return STRENGTHS[best], np.exp(tried[best])


def folds(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns the fold of each image, int [images], with each class spread over all folds.

    scikit-learn's own stratified folds refuse a class with fewer images than folds.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    fold_of = np.empty(len(labels), int)
    fold_of[order] = np.arange(len(labels)) % FOLDS
    return fold_of


def grouped_folds(labels: np.ndarray, first: np.ndarray, seed: int) -> np.ndarray:
    """Returns the fold of each image, int [images]: that of the first image of its series, which `folds` spreads.

    Args:
      labels: int64 [images].
      first: for each image, the number of the first image of its series, int [images].
      seed: draws the folds.
    """
    (counted,) = np.nonzero(first == np.arange(len(first)))
    fold_of = np.empty(len(first), int)
    fold_of[counted] = folds(labels[counted], seed)
    return fold_of[first]


@one_thread
def log_probabilities(
    features: np.ndarray,
    labels: np.ndarray,
    held_out: np.ndarray,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    balanced: bool = False,
) -> np.ndarray:
    """Returns what heads answer about images that they did not learn from.

    Args:
      features: what the heads learn from, float32 [images, channels].
      labels: int64 [images], of at least two classes.
      held_out: features of the images that they answer about, float32 [images, channels].
      classes: number of classes; one that has no label gets the lowest probability.
      strengths: one per head.
      balanced: as for `solve`.

    Returns:
      Log probabilities, float [strengths, images, classes].
    """
    model, space = _model(balanced, warm_start=True), _Space(features)
    rows, asked = space.rows(features), space.rows(held_out)
    found = np.full((len(strengths), len(held_out), classes), LOWEST)
    for number, strength in enumerate(strengths):
        _fit(model.set_params(C=strength), rows, labels)
        found[number][:, model.classes_] = model.predict_log_proba(asked)
    return np.maximum(found, LOWEST)


@one_thread
def _fitted(features: np.ndarray, labels: np.ndarray, strength: float, balanced: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kernel and the bias."""
    rows = features.reshape(-1, features.shape[-1])
    space, model = _Space(rows), _model(balanced, C=strength / len(features))
    _fit(model, space.rows(rows), np.tile(labels, len(features)))
    return space.head(model)


class _Space:
    """The space in which a head is solved: standardized features, in no more coordinates than there are rows to learn from.

    The penalty is the same in all directions, so the solution lies in the span of those rows (the representer theorem): for
    a hundred photos, a hundred coordinates instead of 1,280 give the same solution.
    """

    def __init__(self, features: np.ndarray) -> None:
        self._scaler = StandardScaler().fit(features)
        fewer = len(features) < features.shape[1]
        self._basis = np.linalg.qr(self._scaler.transform(features).T)[0] if fewer else None  # [channels, coordinates]

    def rows(self, features: np.ndarray) -> np.ndarray:
        """Returns features [images, channels] as rows in this space."""
        scaled = self._scaler.transform(features)
        return scaled if self._basis is None else scaled @ self._basis

    def head(self, model: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
        """Returns a solution's kernel and bias for plain features: the transformation to rows is folded in."""
        scaled = model.coef_ if self._basis is None else model.coef_ @ self._basis.T
        kernel = scaled / self._scaler.scale_
        bias = model.intercept_ - kernel @ self._scaler.mean_
        return kernel.T.astype(np.float32), bias.astype(np.float32)


def _model(balanced: bool, **parameters: float | bool) -> LogisticRegression:
    return LogisticRegression(max_iter=ITERATIONS, class_weight="balanced" if balanced else None, **parameters)


def _fit(model: LogisticRegression, rows: np.ndarray, targets: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough: more steps change no answer
        model.fit(rows, targets)
