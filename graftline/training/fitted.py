"""What is fitted to a trained network, on the validation split: the test split is only for the gate."""

from typing import NamedTuple

import keras
import numpy as np

from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.features.cache import ACTIVATION, CachedSplit, Rows
from graftline.network import known
from graftline.network.known import Known
from graftline.settings.training import Training
from graftline.training import temperature
from graftline.training.phases import EVALUATION_BATCH

REFERENCE = 1000  # training images that an image is compared with; 0.4 MB for MobileNetV2's 96 channels
PASSED = 0.95  # share of the validation images that count as known


class Fitted(NamedTuple):
    """What a model is exported with besides its network.

    Attributes:
      temperature: the divisor of the logits; None leaves them as they are.
      known: what distinguishes images of the classes from all others.
    """

    temperature: float | None
    known: Known


def fit(fine_tuned: keras.Model, splits: dict[str, CachedSplit], training: Training) -> Fitted:
    """Fits what a model is exported with.

    Args:
      fine_tuned: the network from activations at the cut to logits, as it is exported.
      splits: features of the splits.
      training: says whether to fit a `temperature`, and holds the seed that draws the reference.
    """
    labels, features, logits = _validated(fine_tuned, splits[VALIDATION])
    train = Rows(splits[TRAIN].views[:1], ACTIVATION)
    chosen = reference_rows(train.labels, training.seed)
    reference = np.concatenate([_pooled(train.read(rows)[0]) for rows in _batches(chosen)])
    return Fitted(temperature.fit(labels, logits) if training.temperature else None, fit_known(reference, features))


def _validated(network: keras.Model, validation: CachedSplit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the labels of the validation images, their pooled features at the cut, and the network's logits."""
    stored, found = Rows(validation.views[:1], ACTIVATION), []
    for rows in _batches(np.arange(validation.examples)):
        activation, labels = stored.read(rows)
        found.append((labels, _pooled(activation), network.predict_on_batch(activation.astype(np.float32))))
    labels, features, logits = map(np.concatenate, zip(*found, strict=True))
    return labels, features, logits


def _batches(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, range(EVALUATION_BATCH, len(rows), EVALUATION_BATCH))


def _pooled(activation: np.ndarray) -> np.ndarray:
    return activation.astype(np.float32).mean(axis=(1, 2))


def reference_rows(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns the numbers of at most REFERENCE images, drawn as evenly from all classes as their sizes allow.

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
    """Returns the criterion for known images: as like the training images as a share PASSED of the validation images.

    Args:
      train: pooled features of training images at the cut, float32 [images, channels].
      validation: those of the validation split.
    """
    reference = known.unit(train)
    return Known(reference.numpy(), float(np.quantile(known.likeness(validation, reference), 1 - PASSED)))
