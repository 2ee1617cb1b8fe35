"""Networks with the same layers and weights, but faster arithmetic.

A BatchNorm that keeps the moving statistics of pretraining only scales and shifts each channel. `InferenceMode` does that
to the kernel of the convolution before it instead of to every pixel of every image. A BatchNorm that trains takes Keras some
ten passes over the activations; `fused` uses TensorFlow's single operation for it. Both give the same outputs and gradients
for the same variables, rounding aside.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

SUM = "Add"  # the class of a residual sum, as a layer or as arithmetic between layers


class InferenceMode(layers.Layer):
    """Calls a network in inference mode, even during training.

    In a functional model, `base(x, training=False)` is not enough: `fit` overrides it with `training=True` in every layer
    (keras-team/keras#20285). The `call` of this layer does not take that argument, so Keras does not pass it.

    Args:
      network: the network; its layers and weights are shared.
      arithmetic: the dtype in which its convolutions multiply; everything else stays in the dtype of the input.
    """

    def __init__(self, network: keras.Model, arithmetic: str) -> None:
        super().__init__(name="inference_mode")
        self.network = folded(network, arithmetic)

    def call(self, inputs: Any) -> Any:
        """Returns the network's output."""
        return self.network(inputs, training=False)


class Convolution(layers.Layer):
    """A convolution that multiplies in another dtype; shares the layer.

    Args:
      convolution: a Conv2D without bias or activation.
      arithmetic: the dtype in which it multiplies.
    """

    def __init__(self, convolution: layers.Layer, arithmetic: str) -> None:
        super().__init__(name=f"{convolution.name}_{arithmetic}", autocast=False)
        self.convolution = convolution
        self.arithmetic = arithmetic

    def call(self, inputs: Any) -> Any:
        """Returns float [batch, height, width, channels] in the dtype of the input."""
        return _convolve(self.convolution, inputs, self.convolution.kernel, self.arithmetic)


class FoldedConvolution(layers.Layer):
    """A convolution and the BatchNorm after it as one convolution with a bias; shares both layers.

    Args:
      convolution: a Conv2D or DepthwiseConv2D without bias or activation.
      norm: the BatchNormalization that follows it.
      arithmetic: the dtype in which it multiplies.
    """

    def __init__(self, convolution: layers.Layer, norm: layers.BatchNormalization, arithmetic: str) -> None:
        super().__init__(name=f"{convolution.name}_folded", autocast=False)
        self.convolution = convolution
        self.norm = norm
        self.arithmetic = arithmetic

    def call(self, inputs: Any) -> Any:
        """Returns float [batch, height, width, channels] in the dtype of the input."""
        norm, convolution = self.norm, self.convolution
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        bias = norm.beta - norm.moving_mean * scale
        depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        kernel = convolution.kernel * (ops.expand_dims(scale, -1) if depthwise else scale)
        return tf.nn.bias_add(_convolve(convolution, inputs, kernel, self.arithmetic), ops.cast(bias, inputs.dtype))


def _convolve(convolution: layers.Layer, inputs: Any, kernel: Any, arithmetic: str) -> Any:
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    if depthwise:  # too few multiplications to gain from a smaller dtype
        arithmetic = inputs.dtype
    output = (ops.depthwise_conv if depthwise else ops.conv)(
        ops.cast(inputs, arithmetic),
        ops.cast(kernel, arithmetic),
        strides=convolution.strides,
        padding=convolution.padding,
        dilation_rate=convolution.dilation_rate,
    )
    return ops.cast(output, inputs.dtype)


class FusedNorm(layers.Layer):
    """A BatchNorm that trains in a single TensorFlow operation; the layer is shared.

    Args:
      norm: a BatchNormalization over the last axis, with gamma and beta.
    """

    def __init__(self, norm: layers.BatchNormalization) -> None:
        super().__init__(name=f"{norm.name}_fused", autocast=False)
        self.norm = norm

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns float [batch, height, width, channels]; in training, updates the moving statistics as Keras does."""
        norm = self.norm
        if not (training and norm.trainable):
            return norm(inputs, training=False)
        output, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, norm.gamma, norm.beta, epsilon=norm.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        biased = variance * (count - 1) / count  # the operation gives the unbiased variance, Keras keeps the biased one
        for moving, value in ((norm.moving_mean, mean), (norm.moving_variance, biased)):
            moving.assign(moving * norm.momentum + value * (1 - norm.momentum))
        return output


class Unfused(layers.Layer):
    """Passes a tensor on, and keeps TensorFlow from computing what comes before and after it in one operation.

    TensorFlow's optimizer removes an identity, but not this check of a shape.
    """

    def call(self, inputs: Any) -> Any:
        """Returns the input."""
        return tf.ensure_shape(inputs, inputs.shape)


def folded(network: keras.Model, arithmetic: str) -> keras.Model:
    """Returns a network of the same layers and weights, with each BatchNorm folded into the convolution before it."""
    norms = _foldable(network)
    replaced = {norm.name for norm in norms.values()}

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if layer.name in norms:
            return FoldedConvolution(layer, norms[layer.name], arithmetic)(*inputs)
        return inputs[0] if layer.name in replaced else layer(*inputs, **options)

    return _with_calls(network, call)


def fused(network: keras.Model, arithmetic: str) -> keras.Model:
    """Returns a network with the same layers and weights, whose BatchNorms train in one operation each.

    Args:
      network: the network.
      arithmetic: the dtype in which its plain convolutions multiply.
    """

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization) and layer.scale and layer.center:
            return FusedNorm(layer)(*inputs)
        if _is_plain(layer) and not isinstance(layer, layers.DepthwiseConv2D) and layer.compute_dtype != arithmetic:
            return Convolution(layer, arithmetic)(*inputs)
        return layer(*inputs, **options)

    return _with_calls(network, call)


def thread_safe(network: keras.Model) -> keras.Model:
    """Returns a network of the same layers and weights, which several threads may call at once.

    On CPUs, TensorFlow computes a residual sum together with the convolution before it. That operation of oneDNN keeps the
    addresses of summand and sum in members of its kernel (`fuse_add_src_` and `fuse_add_dst_` of mkl_conv_ops.cc in
    TensorFlow 2.21), so that two calls at once read and write each other's memory: wrong answers, or a crash.
    """

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if type(layer).__name__ == SUM and len(keras.tree.flatten(layer.input)) > 1:
            inputs = keras.tree.map_structure(Unfused(), inputs)
        return layer(*inputs, **options)

    return _with_calls(network, call)


def _with_calls(network: keras.Model, call: Callable[..., Any]) -> keras.Model:
    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def _foldable(network: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Returns the BatchNorms that take the output of a plain convolution, by the name of the convolution."""
    producers = {id(operation.output): operation for operation in network.operations}
    pairs = [(producers.get(id(operation.input)), operation) for operation in network.operations[1:]]
    return {
        before.name: norm
        for before, norm in pairs
        if isinstance(norm, layers.BatchNormalization) and before is not None and _is_plain(before)
    }


def _is_plain(operation: Any) -> bool:
    """Returns whether an operation is a convolution without bias or activation."""
    return (
        isinstance(operation, layers.Conv2D | layers.DepthwiseConv2D)
        and not operation.use_bias
        and operation.activation is keras.activations.linear
    )
