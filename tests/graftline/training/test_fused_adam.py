"""The fused Adam equals Keras's step by step, whatever sets its learning rate and wherever its variables are."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from graftline.training.fused_adam import FusedAdam

ROWS = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
TARGETS = (ROWS @ np.arange(1.0, 7.0)[:, None] + 0.5).astype(np.float32)


def trained(optimizer: keras.optimizers.Optimizer) -> list[np.ndarray]:
    """Returns the weights, and the optimizer's own state, after two epochs on a problem whose gradient is never zero."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    model.compile(optimizer=optimizer, loss="mse")
    model.fit(ROWS, TARGETS, batch_size=16, epochs=2, shuffle=False, verbose=0)
    return [variable.numpy() for variable in [*model.variables, *model.optimizer.variables]]


@pytest.mark.parametrize(
    "rate", [0.01, keras.optimizers.schedules.CosineDecay(0.0, 6, warmup_target=0.02, warmup_steps=2)]
)
def test_it_is_keras_adam(rate):
    for fused, expected in zip(trained(FusedAdam(rate)), trained(keras.optimizers.Adam(rate)), strict=True):
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-6)


def test_it_is_keras_adam_where_the_loss_is_scaled():
    scaled = [keras.optimizers.LossScaleOptimizer(inner) for inner in (FusedAdam(0.01), keras.optimizers.Adam(0.01))]
    for fused, expected in zip(*map(trained, scaled), strict=True):
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-6)


def test_a_mirrored_variable_has_what_keras_adam_gives_it():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    found = []
    for make in (FusedAdam, keras.optimizers.Adam):
        with strategy.scope():
            found.append(trained(make(0.01)))
    for fused, expected in zip(*found, strict=True):
        np.testing.assert_allclose(fused, expected, rtol=1e-4, atol=1e-6)
