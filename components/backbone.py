"""The network: a backbone by name, its pretrained weights, where it is cut for fine-tuning, and the new head."""

from pathlib import Path
from typing import Any

import keras

import settings

PREPROCESSING: dict[str, dict[str, Any]] = {
    "MobileNetV2": {},
    "MobileNetV3Small": {"include_preprocessing": False},
    "MobileNetV3Large": {"include_preprocessing": False},
    "EfficientNetV2B0": {"include_preprocessing": True},
}
TAKES_PIXELS = frozenset({"EfficientNetV2B0"})  # 0..255 instead of -1..1: it normalises inside, channel by channel


def network(name: str, image_size: int, weights: str | None) -> keras.Model:
    """Builds a base network without its top.

    Args:
      name: one of `settings.BACKBONE_LAYERS`.
      image_size: height and width of a picture, at least 32.
      weights: `imagenet` lets Keras download them; None gives random ones.
    """
    build_base = getattr(keras.applications, name)
    shape = (image_size, image_size, 3)
    return build_base(include_top=False, weights=weights, input_shape=shape, **PREPROCESSING[name])


def build(model: settings.Model, weights_path: Path | None) -> keras.Model:
    """Builds the base network with the layer names of `schemas/backbones.json`, which `fine_tune_at` refers to.

    Args:
      model: backbone and image size.
      weights_path: an .h5 file for this backbone; None leaves random weights.

    Raises:
      settings.UserError: where the file does not fit the backbone.
    """
    base = network(model.backbone, model.image_size, None)
    # Keras numbers unnamed layers by what was built before in the process; the list numbers them as in a fresh one.
    for layer, name in zip(base.layers, settings.BACKBONE_LAYERS[model.backbone], strict=True):
        layer.name = name
    if weights_path:
        _load(base, model.backbone, weights_path)
    return base


def _load(base: keras.Model, backbone: str, path: Path) -> None:
    try:
        base.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise settings.UserError(
            f"{path} does not hold the weights of {backbone} without its top ({reason}): "
            "set model.weights to an .h5 file saved from it, to imagenet, or to none."
        ) from error


def set_trainable(base: keras.Model, fine_tune_at: str | None) -> None:
    """Freezes the base up to a layer; models that use it must be compiled afterwards.

    Args:
      base: the base network.
      fine_tune_at: the first trainable layer; None freezes all of them.
    """
    base.trainable = fine_tune_at is not None
    for layer in base.layers:
        if layer.name == fine_tune_at:
            return
        layer.trainable = False


def classifier(base: keras.Model, model: settings.Model, num_classes: int) -> keras.Model:
    """Puts a new head on the base: average pooling, dropout and one dense layer.

    Args:
      base: the base network.
      model: `dropout`, and whether BatchNorm trains: `frozen` uses its moving statistics and still trains gamma and
        beta; `train` updates the statistics of trainable layers, as TensorFlow's transfer-learning tutorial does.
      num_classes: two give one logit, more give one logit a class.

    Returns:
      A model from pictures [batch, size, size, 3] in [-1, 1] to float32 logits [batch, 1 or classes].
    """
    inputs = keras.Input((model.image_size, model.image_size, 3), name="image")
    x = keras.layers.Rescaling(127.5, offset=127.5, name="pixels")(inputs) if model.backbone in TAKES_PIXELS else inputs
    x = InferenceMode(base, name="base")(x) if model.batch_norm == "frozen" else base(x)
    x = keras.layers.GlobalAveragePooling2D(name="pooling")(x)
    if model.dropout:
        x = keras.layers.Dropout(model.dropout, name="dropout")(x)
    units = 1 if num_classes == 2 else num_classes
    # Float32 even under mixed precision: a softmax of float16 logits loses digits where the loss needs them.
    return keras.Model(inputs, keras.layers.Dense(units, dtype="float32", name="logits")(x), name="classifier")


class InferenceMode(keras.layers.Layer):
    """Calls a network in inference mode, in training too.

    In a functional model `base(x, training=False)` does not do it: `fit` passes `training=True` over it to every layer
    (keras-team/keras#20285). The `call` of this layer takes no such argument, so nothing is passed.
    """

    def __init__(self, network: keras.Model, name: str) -> None:
        super().__init__(name=name)
        self.network = network

    def call(self, inputs: Any) -> Any:
        """Returns the network's output."""
        return self.network(inputs, training=False)


def loss(num_classes: int, label_smoothing: float) -> keras.losses.Loss:
    """Returns the cross-entropy of labels [batch] and logits [batch, 1 or classes].

    Args:
      num_classes: 2 or more.
      label_smoothing: part of a label's weight that is spread over all classes, in [0, 1).
    """
    if num_classes == 2:
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)
    if not label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return SmoothedCrossentropy(num_classes, label_smoothing)


class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of integer labels with label smoothing, which Keras offers for one-hot labels alone."""

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
