"""Tests that faster arithmetic gives the same outputs, gradients and variables as Keras's own layers."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from graftline.network import backbone, fused_layers
from graftline.network.fused_layers import FoldedConvolution, FusedNorm, InferenceMode
from graftline.settings.backbones import BACKBONES
from graftline.settings.training import Model


def _suffix(name: str) -> keras.Model:
    """Returns a suffix with a residual block, whose BatchNorms do not start with means of zero."""
    layers = BACKBONES[name].layers
    model = Model(backbone=name, weights="none", image_size=32, fine_tune_at=layers[int(0.6 * len(layers))])
    keras.utils.set_random_seed(1)
    base = backbone.build(model, None)
    random = np.random.default_rng(1)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0  # the tests compare two calls
    return backbone.suffix(base, backbone.cut(base, model.fine_tune_at))


def _inputs(network: keras.Model) -> np.ndarray:
    return np.random.default_rng(2).uniform(-1, 1, (4, *network.input.shape[1:])).astype("float32")


def _gradients(network: keras.Model, call: Any, inputs: np.ndarray) -> dict[str, np.ndarray]:
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(call(inputs)))
    variables = [variable.value for variable in network.trainable_variables]
    found = zip(network.trainable_variables, tape.gradient(loss, variables), strict=True)
    return {variable.path: gradient.numpy() for variable, gradient in found}


@pytest.mark.parametrize("name", BACKBONES)
def test_folded_network_gives_and_learns_the_same(name: str) -> None:
    network = _suffix(name)
    folded = InferenceMode(network, "float32")
    inputs = _inputs(network)
    expected = network(inputs, training=False)
    np.testing.assert_allclose(folded(inputs), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert {id(v) for v in folded.trainable_variables} == {id(v) for v in network.trainable_variables}
    gradients = _gradients(network, lambda batch: network(batch, training=False), inputs)
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for path, gradient in _gradients(network, folded, inputs).items():
        np.testing.assert_allclose(gradient, gradients[path], rtol=1e-3, atol=1e-5 * largest, err_msg=path)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_batch_norm_after_a_convolution_is_folded(name: str) -> None:
    network = _suffix(name)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    folded = fused_layers.folded(network, "float32").layers
    assert sum(isinstance(layer, FoldedConvolution) for layer in folded) == len(norms)
    assert (len(norms) > 2) == BACKBONES[name].batch_norm


def test_a_batch_norm_without_its_convolution_stays_in_inference_mode() -> None:
    base = backbone.build(Model(weights="none", image_size=32), None)
    network = backbone.suffix(base, "block_16_project")
    fixed = InferenceMode(network, "float32")
    model = keras.Sequential([keras.Input(network.input.shape[1:]), fixed, keras.layers.GlobalAveragePooling2D()])
    model.compile("sgd", "mse")
    norm = base.get_layer("block_16_project_BN")
    before = norm.get_weights()
    model.fit(_inputs(network), np.ones((4, 1280)), verbose=0)
    _, beta, mean, variance = (not np.array_equal(*pair) for pair in zip(before, norm.get_weights(), strict=True))
    assert (beta, mean, variance) == (True, False, False)


def test_smaller_arithmetic_is_used_and_stays_inside() -> None:
    network = _suffix("MobileNetV2")
    inputs = _inputs(network)
    expected = network(inputs, training=False)
    found = InferenceMode(network, "bfloat16")(inputs)
    assert found.dtype == "float32"
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    assert 1e-4 < difference < 5e-2


def _trained(network: keras.Model, call: Any, inputs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns output and gradients of a call in training, which updates the moving statistics."""
    outputs = []

    def noted(batch: np.ndarray) -> Any:
        outputs.append(call(batch, training=True))
        return outputs[0]

    gradients = _gradients(network, noted, inputs)
    return outputs[0].numpy(), gradients


@pytest.mark.parametrize("name", BACKBONES)
def test_fused_batch_norm_gives_learns_and_keeps_the_same(name: str) -> None:
    network = _suffix(name)
    fused = fused_layers.fused(network, "float32")
    inputs, before = _inputs(network), network.get_weights()
    expected, gradients = _trained(network, network, inputs)
    kept = network.get_weights()
    moved = not all(np.array_equal(*pair) for pair in zip(before, kept, strict=True))
    assert moved == BACKBONES[name].batch_norm, "only networks with BatchNorm have moving statistics"
    network.set_weights(before)
    found, learned = _trained(network, fused, inputs)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for path, gradient in learned.items():
        np.testing.assert_allclose(gradient, gradients[path], rtol=1e-2, atol=1e-4 * largest, err_msg=path)
    for mine, theirs in zip(network.get_weights(), kept, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_frozen_batch_norm_is_not_trained_and_inference_is_kerass() -> None:
    network = _suffix("MobileNetV2")
    fused, inputs = fused_layers.fused(network, "float32"), _inputs(network)
    np.testing.assert_array_equal(fused(inputs, training=False), network(inputs, training=False))
    network.trainable = False
    before = network.get_weights()
    np.testing.assert_array_equal(fused(inputs, training=True), network(inputs, training=False))
    assert all(np.array_equal(*pair) for pair in zip(before, network.get_weights(), strict=True))


def test_every_batch_norm_that_trains_is_fused() -> None:
    network = _suffix("MobileNetV2")
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert (
        sum(isinstance(layer, FusedNorm) for layer in fused_layers.fused(network, "float32").layers) == len(norms) > 2
    )


def test_smaller_arithmetic_in_training_is_used_and_stays_inside() -> None:
    network = _suffix("MobileNetV2")
    inputs = _inputs(network)
    expected = network(inputs, training=False)
    found = fused_layers.fused(network, "bfloat16")(inputs, training=False)
    assert found.dtype == "float32"
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    assert 1e-4 < difference < 5e-2


def _sums_with_convolutions(network: keras.Model) -> int:
    """Returns how many operations compute a convolution and a sum at once, once TensorFlow has optimized a network."""
    run = tf.function(lambda batch: network(batch, training=False), autograph=False)
    context.enable_run_metadata()
    try:
        run(tf.constant(_inputs(network)))
        graphs = context.export_run_metadata().function_graphs
    finally:
        context.disable_run_metadata()
    nodes = [node for graph in graphs for node in graph.post_optimization_graph.node]
    return sum(b"Add" in node.attr["fused_ops"].list.s for node in nodes)


@pytest.mark.parametrize("name", BACKBONES)
def test_no_sum_is_computed_by_the_operation_that_is_not_thread_safe(name: str) -> None:
    model = Model(backbone=name, weights="none", image_size=32, fine_tune_at=BACKBONES[name].layers[-3])
    base = backbone.build(model, None)
    at = backbone.cut(base, model.fine_tune_at)
    assert _sums_with_convolutions(fused_layers.folded(base, "float32")) > 0, "nothing to prevent"
    assert _sums_with_convolutions(backbone.classifier(base, backbone.head(base, model, 2), model, at)) == 0
    assert _sums_with_convolutions(backbone.prefix(base, model, at)) == 0
