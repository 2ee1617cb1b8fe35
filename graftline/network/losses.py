"""The loss and the metric of training."""

from typing import Any

import keras
import numpy as np


def loss(num_classes: int, label_smoothing: float, class_weights: np.ndarray | None = None) -> keras.losses.Loss:
    """Returns the cross-entropy of labels [batch] and logits [batch, 1 or classes].

    Args:
      num_classes: 2 or more.
      label_smoothing: the part of a label's weight that is spread over all classes, in [0, 1).
      class_weights: the weight of an image of each class, float [classes]; None weighs all images equally.
    """
    plain = _unweighted(num_classes, label_smoothing)
    return plain if class_weights is None else WeightedByClass(plain, class_weights)


def balanced(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns weights for the images of each class that balance the classes, 1 on average (as in scikit-learn).

    Args:
      labels: int64 [images].
      num_classes: 2 or more.
    """
    counts = np.bincount(labels, minlength=num_classes)
    return len(labels) / (num_classes * np.maximum(counts, 1))


def _unweighted(num_classes: int, label_smoothing: float) -> keras.losses.Loss:
    if num_classes == 2:
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    if not label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return SmoothedCrossentropy(num_classes, label_smoothing)


class WeightedByClass(keras.losses.Loss):
    """A loss that weighs each image by its class."""

    def __init__(self, plain: keras.losses.Loss, class_weights: np.ndarray) -> None:
        super().__init__(name=f"weighted_{plain.name}")
        self.plain = plain
        self.class_weights = keras.ops.convert_to_tensor(class_weights, "float32")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
        labels = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
        return self.plain.call(y_true, y_pred) * keras.ops.take(self.class_weights, labels)


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels with label smoothing, which Keras only offers for one-hot labels."""

    def __init__(self, num_classes: int, label_smoothing: float) -> None:
        super().__init__(name="smoothed_crossentropy")
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss of each example, [batch]."""
        one_hot = keras.ops.one_hot(keras.ops.reshape(y_true, (-1,)), self.num_classes)
        return keras.losses.categorical_crossentropy(one_hot, y_pred, True, self.label_smoothing)


def accuracy(num_classes: int) -> keras.metrics.Metric:
    """Returns the metric `accuracy` of labels [batch] and logits [batch, 1 or classes]."""
    if num_classes == 2:
        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)  # logits: 0 is a probability of 0.5
    return keras.metrics.SparseCategoricalAccuracy(name="accuracy")
