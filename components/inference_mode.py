"""A network trained with BatchNorm in inference mode, as it is when the moving statistics of pretraining are kept.

In inference mode BatchNorm multiplies and adds per channel, which can be done to the kernel of the convolution before it
instead of to every pixel of every picture. That saves two passes over the activations forward and two backward, and trains
the very same variables to the very same gradients, rounding aside.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


class InferenceMode(layers.Layer):
    """Calls a network in inference mode, in training too.

    In a functional model `base(x, training=False)` does not do it: `fit` passes `training=True` over it to every layer
    (keras-team/keras#20285). The `call` of this layer takes no such argument, so nothing is passed.

    Args:
      network: the network; its layers and weights are shared.
      arithmetic: dtype in which its convolutions multiply; everything else stays in the dtype that comes in.
    """

    def __init__(self, network: keras.Model, arithmetic: str) -> None:
        super().__init__(name="inference_mode")
        self.network = folded(network, arithmetic)

    def call(self, inputs: Any) -> Any:
        """Returns the network's output."""
        return self.network(inputs, training=False)


class FoldedConvolution(layers.Layer):
    """A convolution and the BatchNorm after it as one convolution with a bias; both layers are shared.

    Args:
      convolution: Conv2D or DepthwiseConv2D without bias or activation.
      norm: the BatchNormalization that takes its output.
      arithmetic: dtype in which it multiplies.
    """

    def __init__(self, convolution: layers.Layer, norm: layers.BatchNormalization, arithmetic: str) -> None:
        super().__init__(name=f"{convolution.name}_folded", autocast=False)
        self.convolution = convolution
        self.norm = norm
        self.arithmetic = arithmetic

    def call(self, inputs: Any) -> Any:
        """Returns float [batch, height, width, channels] in the dtype that comes in."""
        norm, convolution = self.norm, self.convolution
        scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
        bias = norm.beta - norm.moving_mean * scale
        depthwise = isinstance(convolution, layers.DepthwiseConv2D)
        kernel = convolution.kernel * (ops.expand_dims(scale, -1) if depthwise else scale)
        # A depthwise one multiplies too little to gain from a smaller dtype
        arithmetic = inputs.dtype if depthwise else self.arithmetic
        output = (ops.depthwise_conv if depthwise else ops.conv)(
            ops.cast(inputs, arithmetic),
            ops.cast(kernel, arithmetic),
            strides=convolution.strides,
            padding=convolution.padding,
            dilation_rate=convolution.dilation_rate,
        )
        return tf.nn.bias_add(ops.cast(output, inputs.dtype), ops.cast(bias, inputs.dtype))


def folded(network: keras.Model, arithmetic: str) -> keras.Model:
    """Returns a network of the same layers and weights in which convolutions have taken over the BatchNorms after them."""
    norms = _foldable(network)
    replaced = {norm.name for norm in norms.values()}

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if layer.name in norms:
            return FoldedConvolution(layer, norms[layer.name], arithmetic)(*inputs)
        return inputs[0] if layer.name in replaced else layer(*inputs, **options)

    return keras.models.clone_model(network, clone_function=lambda layer: layer, call_function=call)


def _foldable(network: keras.Model) -> dict[str, layers.BatchNormalization]:
    """Returns the BatchNorms that take the output of a plain convolution, by its name."""
    producers = {id(operation.output): operation for operation in network.operations}
    pairs = [(producers.get(id(operation.input)), operation) for operation in network.operations[1:]]
    return {
        before.name: norm
        for before, norm in pairs
        if isinstance(norm, layers.BatchNormalization)
        and isinstance(before, layers.Conv2D | layers.DepthwiseConv2D)
        and not before.use_bias
        and before.activation is keras.activations.linear
    }
