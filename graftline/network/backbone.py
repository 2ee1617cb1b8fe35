"""The network: a backbone by name, its pretrained weights, where it is cut for fine-tuning, and the new head."""

from pathlib import Path
from typing import Any

import keras

from graftline.base.errors import UserError
from graftline.network.fused_layers import InferenceMode, folded, fused, thread_safe
from graftline.settings.backbones import BACKBONES
from graftline.settings.training import Model


def network(name: str, image_size: int, weights: str | None) -> keras.Model:
    """Builds a base network without its top.

    Args:
      name: one of `BACKBONES`.
      image_size: height and width of the images, at least 32.
      weights: `imagenet` lets Keras download them; None means random ones.
    """
    build_base = getattr(keras.applications, name)
    shape = (image_size, image_size, 3)
    return build_base(include_top=False, weights=weights, input_shape=shape, **BACKBONES[name].options)


def build(model: Model, weights_path: Path | None) -> keras.Model:
    """Builds the base network with the layer names of `schemas/backbones.json`, which `fine_tune_at` refers to.

    Args:
      model: backbone and image size.
      weights_path: an .h5 file for this backbone; None keeps random weights.

    Raises:
      UserError: if the file does not fit the backbone.
    """
    base = network(model.backbone, model.image_size, None)
    # Keras's numbers for unnamed layers depend on what the process built before; the list has those of a fresh process.
    for layer, name in zip(base.layers, BACKBONES[model.backbone].layers, strict=True):
        layer.name = name
    for number, operation in enumerate(base.operations):
        if not isinstance(operation, keras.layers.Layer):  # arithmetic between layers, such as a residual sum
            operation.name = f"operation_{number}"
    if weights_path:
        _load(base, model.backbone, weights_path)
    return base


def _load(base: keras.Model, backbone: str, path: Path) -> None:
    try:
        base.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise UserError(
            f"{path} does not hold the weights of {backbone} without its top ({reason}): "
            "set model.weights to an .h5 file saved from that backbone, to imagenet, or to none."
        ) from error


def set_trainable(base: keras.Model, fine_tune_at: str | None) -> None:
    """Freezes the base up to a layer; models that use the base must be compiled afterwards.

    Args:
      base: the base network.
      fine_tune_at: the first trainable layer; None freezes all of them.
    """
    base.trainable = fine_tune_at is not None
    for layer in base.layers:
        if layer.name == fine_tune_at:
            return
        layer.trainable = False


def cut(base: keras.Model, fine_tune_at: str) -> str:
    """Finds where the frozen prefix ends: at the last tensor before the trainable layers that all paths go through.

    Args:
      base: the base network.
      fine_tune_at: the first trainable layer.

    Returns:
      The name of the layer, or of the arithmetic between layers, that gives that tensor. It is never inside a residual
      block, but before it.
    """
    operations = base.operations  # layers and the arithmetic between them
    producers = {id(operation.output): index for index, operation in enumerate(operations)}
    last_use = {len(operations) - 1: len(operations)}  # the network's output is used after the last one
    for index, operation in enumerate(operations[1:], 1):
        for tensor in keras.tree.flatten(operation.input):
            last_use[producers[id(tensor)]] = index
    first_trainable = max([operation.name for operation in operations].index(fine_tune_at), 1)
    for boundary in reversed(range(first_trainable)):
        crossing = [operations[index] for index in range(boundary + 1) if last_use.get(index, -1) > boundary]
        if len(crossing) == 1:
            return crossing[0].name
    raise AssertionError("the input is a single tensor, so there is always a boundary")


def output_of(base: keras.Model, at: str) -> Any:
    """Returns the tensor where a base is cut.

    Args:
      base: the base network.
      at: a name that `cut` returned.
    """
    return next(operation.output for operation in base.operations if operation.name == at)


def suffix(base: keras.Model, at: str) -> keras.Model:
    """Returns the network from a layer's output to the output of the base; it shares the layers and weights of the base."""
    return keras.Model(output_of(base, at), base.output, name="suffix")


def prefix(base: keras.Model, model: Model, at: str) -> keras.Model:
    """Returns the network from images to a layer's output and the pooled features of the base.

    Args:
      base: the base network.
      model: settings of the network.
      at: the layer where the base is cut.

    Returns:
      A model from images [batch, size, size, 3] in [-1, 1] to an activation [batch, height, width, channels] and
      features [batch, channels]; it shares the layers of the base.
    """
    inputs = _images(model)
    both = keras.Model(base.input, [output_of(base, at), base.output])
    activation, output = both(_scaled(inputs, model))
    return keras.Model(inputs, [activation, _pooling()(output)], name="prefix")


def head(base: keras.Model, model: Model, num_classes: int) -> keras.Model:
    """Returns the new head: dropout and one dense layer, from pooled features to logits.

    Args:
      base: the base network, for its number of channels.
      model: settings of the network, for `dropout`.
      num_classes: two classes share one logit, more have one logit each.
    """
    units = 1 if num_classes == 2 else num_classes
    dropout = [keras.layers.Dropout(model.dropout, name="dropout")] if model.dropout else []
    # Float32 even under mixed precision: a softmax of float16 logits loses digits that the loss needs.
    dense = keras.layers.Dense(units, dtype="float32", name="logits")
    return keras.Sequential([keras.Input((base.output.shape[-1],)), *dropout, dense], name="head")


def fine_tuned(
    base: keras.Model, on_top: keras.Model, model: Model, at: str, arithmetic: str = "float32"
) -> keras.Model:
    """Returns the network that phase 2 trains: from the activation at the cut, through suffix and head, to logits.

    Args:
      base: the base network.
      on_top: the head.
      model: `batch_norm` says whether BatchNorm trains: `frozen` uses its moving statistics but still trains gamma and
        beta; `train` updates the statistics of trainable layers, as TensorFlow's transfer-learning tutorial does.
      at: the layer where the base is cut.
      arithmetic: the dtype in which convolutions multiply.
    """
    inputs = keras.Input(output_of(base, at).shape[1:], name="activation")
    trained = suffix(base, at)
    network = InferenceMode(trained, arithmetic) if model.batch_norm == "frozen" else fused(trained, arithmetic)
    return keras.Model(inputs, on_top(_pooling()(network(inputs))), name="fine_tuned")


def classifier(base: keras.Model, on_top: keras.Model, model: Model, at: str) -> keras.Model:
    """Returns the whole network as it is exported: base, average pooling and head, for inference only.

    Each BatchNorm is folded into the convolution before it, which saves passes over the activations. A server may compute
    several requests at once.

    Args:
      base: the base network.
      on_top: the head.
      model: their settings.
      at: the layer where the base is cut; the layers before it still have their pretrained weights.

    Returns:
      A model from images [batch, size, size, 3] in [-1, 1] to the pooled features [batch, channels] of that layer, the
      activation [batch, height, width, channels] of the base, and float32 logits [batch, 1 or classes].
    """
    inputs = _images(model)
    both = keras.Model(base.input, [output_of(base, at), base.output], name="base")
    both = thread_safe(folded(both, "float32"))
    frozen, activation = both(_scaled(inputs, model))
    features = keras.layers.GlobalAveragePooling2D(name="features")(frozen)
    return keras.Model(inputs, [features, activation, on_top(_pooling()(activation))], name="classifier")


def kernel(classifier: keras.Model) -> Any:
    """Returns the kernel [channels, 1 or classes] of a classifier's dense layer."""
    return classifier.get_layer("head").get_layer("logits").kernel


def _images(model: Model) -> Any:
    return keras.Input((model.image_size, model.image_size, 3), name="image")


def _scaled(images: Any, model: Model) -> Any:
    if not BACKBONES[model.backbone].takes_pixels:
        return images
    return keras.layers.Rescaling(127.5, offset=127.5, name="pixels")(images)


def _pooling() -> keras.layers.Layer:
    return keras.layers.GlobalAveragePooling2D(name="pooling")
