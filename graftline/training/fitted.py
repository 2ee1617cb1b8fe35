"""What is fitted to a network once it is trained: on the validation split, for the test split is there to measure by."""

from typing import NamedTuple

import keras
import numpy as np

from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.features.cache import ACTIVATION, CachedSplit, Rows
from graftline.network import backbone, known
from graftline.network.known import Known
from graftline.settings.training import Training
from graftline.training import temperature
from graftline.training.phases import EVALUATION_BATCH

REFERENCE = 1000  # training images that an image is held against: 5 MB of a model with 1,280 channels
PASSED = 0.95  # share of the validation images that are known


class Fitted(NamedTuple):
    """What a model is exported with, beside its network.

    Attributes:
      temperature: what logits are divided by; None leaves them.
      known: what tells an image of the classes from one of anything else.
    """

    temperature: float | None
    known: Known


class _Answers(NamedTuple):
    """What a network makes of images, in their order: labels int64, pooled features and logits float32, by rows."""

    labels: np.ndarray
    features: np.ndarray
    logits: np.ndarray


def fit(fine_tuned: keras.Model, splits: dict[str, CachedSplit], training: Training) -> Fitted:
    """Fits what a model is exported with.

    Args:
      fine_tuned: from activations where the base is cut to logits, as it is exported.
      splits: features of the splits.
      training: whether there is a `temperature`, and the seed that draws the reference.
    """
    network = backbone.with_pooled(fine_tuned)
    validation = _ask(network, splits[VALIDATION], np.arange(splits[VALIDATION].examples))
    train = splits[TRAIN]
    chosen = reference_rows(Rows(train.views[:1], ACTIVATION).labels, training.seed)
    found = fit_known(_ask(network, train, chosen).features, validation.features)
    return Fitted(temperature.fit(validation.labels, validation.logits) if training.temperature else None, found)


def _ask(network: keras.Model, split: CachedSplit, rows: np.ndarray) -> _Answers:
    """Asks a network about the images as they are, a batch at a time."""
    stored = Rows(split.views[:1], ACTIVATION)
    read = [stored.read(rows[start : start + EVALUATION_BATCH]) for start in range(0, len(rows), EVALUATION_BATCH)]
    answered = [(labels, *network.predict_on_batch(activation.astype(np.float32))) for activation, labels in read]
    return _Answers(*map(np.concatenate, zip(*answered, strict=True)))


def reference_rows(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns the numbers of at most REFERENCE images, drawn so that each class has as many as another, if it can.

    Args:
      labels: int64 [images].
      seed: of the draw.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    first = np.searchsorted(labels[order], labels[order])
    in_class = np.arange(len(order)) - first
    return np.sort(order[np.argsort(in_class, kind="stable")][:REFERENCE])


def fit_known(train: np.ndarray, validation: np.ndarray) -> Known:
    """Returns what tells known images: those that are as like training as PASSED of the validation images are.

    Args:
      train: pooled features, float32 [images, channels].
      validation: those of the validation split.
    """
    reference = known.unit(train)
    return Known(reference.numpy(), float(np.quantile(known.likeness(validation, reference), 1 - PASSED)))
