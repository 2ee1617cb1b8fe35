"""Trainable counts, layer names, BatchNorm and losses of the network, on random weights."""

import math
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.network import backbone, losses
from graftline.settings.backbones import BACKBONES
from graftline.settings.training import Model

SIZE = 32


def _model(name: str = "MobileNetV2", **changes: Any) -> Model:
    values: dict[str, Any] = {"weights": "none", "image_size": SIZE, "fine_tune_at": BACKBONES[name].layers[-3]}
    return Model(backbone=name, **(values | changes))


def _parameters(model: keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _network(model: Model, num_classes: int = 2) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Returns the base, the head, and the network that phase 2 trains."""
    base = backbone.build(model, None)
    head = backbone.head(base, model, num_classes)
    return base, head, backbone.fine_tuned(base, head, model, backbone.cut(base, model.fine_tune_at))


def test_counts_are_those_the_tutorial_prints() -> None:
    model = _model(fine_tune_at="block_11_expand_BN")
    base, head, fine_tuned = _network(model)
    classifier = backbone.classifier(base, head, model, "block_10_project_BN")
    backbone.set_trainable(base, None)
    assert (_parameters(head), len(head.trainable_variables)) == (1_281, 2)
    assert _parameters(classifier) == 1_281
    backbone.set_trainable(base, "block_11_expand_BN")
    for unfrozen in (classifier, fine_tuned):
        assert (_parameters(unfrozen), len(unfrozen.trainable_variables)) == (1_863_873, 58)
    backbone.set_trainable(base, None)
    assert _parameters(classifier) == 1_281


def test_the_tutorials_choice_is_cut_before_the_residual_block() -> None:
    assert backbone.cut(backbone.build(_model(), None), "block_11_expand_BN") == "block_10_project_BN"


def test_what_is_exported_is_what_was_trained_and_tells_the_features_where_the_base_is_cut() -> None:
    model = _model(fine_tune_at="block_11_expand_BN")
    base, head, fine_tuned = _network(model)
    at = backbone.cut(base, model.fine_tune_at)
    images = np.random.default_rng(0).uniform(-1, 1, (2, model.image_size, model.image_size, 3)).astype(np.float32)
    features, activation, logits = backbone.classifier(base, head, model, at)(images, training=False)
    frozen, _ = backbone.prefix(base, model, at)(images, training=False)
    np.testing.assert_allclose(features, frozen.numpy().mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(logits, fine_tuned(frozen, training=False), atol=1e-5)
    np.testing.assert_allclose(logits, head(activation.numpy().mean((1, 2)), training=False), atol=1e-5)


@pytest.mark.parametrize("name", BACKBONES)
def test_what_is_exported_folds_every_batch_norm_and_answers_the_same(name: str) -> None:
    model = _model(name)
    base, head, _ = _network(model, 3)
    random = np.random.default_rng(1)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()])
    classifier = backbone.classifier(base, head, model, backbone.cut(base, model.fine_tune_at))
    images = np.random.default_rng(0).uniform(-1, 1, (2, SIZE, SIZE, 3)).astype("float32")
    shown = 127.5 * (images + 1) if BACKBONES[name].takes_pixels else images
    expected = base(shown, training=False).numpy()
    np.testing.assert_allclose(
        classifier(images, training=False)[1], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )
    traced = tf.function(lambda batch: classifier(batch, training=False)).get_concrete_function(
        tf.TensorSpec([None, SIZE, SIZE, 3])
    )
    assert not [operation for operation in traced.graph.get_operations() if "BatchNorm" in operation.type]


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("position", [0.0, 0.3, 0.6, 0.9])
def test_prefix_and_suffix_are_the_whole_network_exactly(name: str, position: float) -> None:
    layers = BACKBONES[name].layers
    model = _model(name, fine_tune_at=layers[int(position * len(layers))])
    base = backbone.build(model, None)
    at = backbone.cut(base, model.fine_tune_at)
    order = [operation.name for operation in base.operations]
    assert order.index(at) < max(order.index(model.fine_tune_at), 1)
    images = np.random.default_rng(0).uniform(-1, 1, (3, SIZE, SIZE, 3)).astype("float32")
    activation, pooled = backbone.prefix(base, model, at)(images, training=False)
    suffix = backbone.suffix(base, at)
    scaled = images * 127.5 + 127.5 if BACKBONES[name].takes_pixels else images
    whole = base(scaled, training=False)
    np.testing.assert_array_equal(suffix(activation, training=False), whole)
    np.testing.assert_allclose(pooled, np.mean(whole, (1, 2)), rtol=1e-5, atol=1e-6)
    shared = {id(weight) for weight in base.weights}
    assert all(id(weight) in shared for weight in suffix.weights)


@pytest.mark.parametrize("name", BACKBONES)
def test_layer_names_are_those_of_a_fresh_keras_whatever_was_built_before(name: str) -> None:
    backbone.build(_model(name), None)
    again = [layer.name for layer in backbone.build(_model(name), None).layers]
    assert again == BACKBONES[name].layers
    keras.utils.clear_session()
    assert again == [layer.name for layer in backbone.network(name, SIZE, None).layers]


@pytest.mark.parametrize("name", BACKBONES)
def test_an_entry_is_true_of_its_network_and_enough_to_train_it(name: str) -> None:
    own = Model(backbone=name, weights="none")
    assert (own.image_size, own.fine_tune_at) == (BACKBONES[name].image_size, BACKBONES[name].fine_tune_at)
    base = backbone.build(own, None)
    assert (
        any(isinstance(layer, keras.layers.BatchNormalization) for layer in base.layers) == BACKBONES[name].batch_norm
    )
    total = len(base.layers)
    assert 0.5 < base.layers.index(base.get_layer(own.fine_tune_at)) / total < 1, "phase 2 trains the upper layers"


def test_wrong_file_is_told_with_its_cure(tmp_path) -> None:
    path = tmp_path / "weights.h5"
    path.write_text("not HDF5")
    with pytest.raises(UserError, match=r"weights\.h5 does not hold the weights of MobileNetV3Small .* none"):
        backbone.build(_model("MobileNetV3Small"), path)


@pytest.mark.parametrize(("batch_norm", "moves"), [("frozen", False), ("train", True)])
def test_batch_norm_statistics_of_the_suffix_move_only_where_it_trains(batch_norm: str, moves: bool) -> None:
    model = _model("MobileNetV3Small", batch_norm=batch_norm, fine_tune_at="conv_1", dropout=0.1)
    base, _, fine_tuned = _network(model, num_classes=3)
    backbone.set_trainable(base, "conv_1")
    prefix, suffix = (base.get_layer(name) for name in ("expanded_conv_10_project_bn", "conv_1_bn"))
    before = [layer.get_weights() for layer in (prefix, suffix)]
    _fit(fine_tuned, num_classes=3)
    assert _same(before[0], prefix.get_weights())
    _, beta, mean, variance = (not np.array_equal(*pair) for pair in zip(before[1], suffix.get_weights(), strict=True))
    assert (beta, mean, variance) == (True, moves, moves)


def _fit(trained: keras.Model, num_classes: int) -> None:
    random = np.random.default_rng(0)
    trained.compile("sgd", loss=losses.loss(num_classes, 0.1), metrics=[losses.accuracy(num_classes)])
    activations = random.uniform(-1, 1, (4, *trained.input.shape[1:])).astype("float32")
    trained.fit(activations, random.integers(0, num_classes, 4), batch_size=4, verbose=0)


def _same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(np.array_equal(*pair) for pair in zip(left, right, strict=True))


def test_efficientnet_gets_the_pixels_it_was_trained_on() -> None:
    model = _model("EfficientNetV2B0")
    base, head, _ = _network(model)
    scale = backbone.classifier(base, head, model, base.layers[-1].name).get_layer("pixels")
    assert np.allclose(scale(np.array([-1.0, 0.0, 1.0])), [0, 127.5, 255])


def test_accuracy_takes_logits_for_logits() -> None:
    accuracy = losses.accuracy(2)
    accuracy.update_state(np.array([1, 0, 1, 0]), np.array([[0.2], [-0.2], [3.0], [0.2]]))
    assert float(accuracy.result()) == 0.75  # 0.2 is a probability of 0.55: right for label 1, wrong for 0


def test_losses_take_logits_for_logits() -> None:
    logits = np.array([[2.0], [-1.0]], "float32")
    expected = np.mean(np.log1p(np.exp([-2.0, -1.0])))
    assert np.isclose(float(losses.loss(2, 0.0)(np.array([1, 0]), logits)), expected)


@pytest.mark.parametrize("num_classes", [2, 3])
def test_label_smoothing_spreads_over_all_classes(num_classes: int) -> None:
    labels = np.array([1, 0])
    logits = np.array([[2.0], [-1.0]] if num_classes == 2 else [[0.0, 2.0, 1.0], [1.0, 0.0, -1.0]], "float32")
    both = np.concatenate([np.zeros_like(logits), logits], axis=-1) if num_classes == 2 else logits
    log_probabilities = both - np.log(np.exp(both).sum(-1, keepdims=True))
    target = np.eye(num_classes)[labels] * 0.8 + 0.2 / num_classes
    expected = -(target * log_probabilities).sum(-1).mean()
    assert np.isclose(float(losses.loss(num_classes, 0.2)(labels, logits)), expected)
