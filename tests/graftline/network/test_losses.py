"""Tests of the training loss, which can balance the classes."""

import keras
import numpy as np
import pytest

from graftline.network import losses


@pytest.mark.parametrize(("num_classes", "smoothing"), [(2, 0.0), (2, 0.1), (3, 0.0), (3, 0.1)])
def test_where_classes_count_alike_the_loss_is_that_of_each_image_times_what_its_class_counts(num_classes, smoothing):
    random = np.random.default_rng(0)
    labels = np.array([0] * 9 + [1] * 2 + [num_classes - 1])
    logits = random.normal(size=(12, 1 if num_classes == 2 else num_classes)).astype(np.float32)
    counts = losses.balanced(labels, num_classes)
    assert counts[labels].mean() == pytest.approx(1)
    each = [float(losses.loss(num_classes, smoothing)(labels[[n]], logits[[n]])) for n in range(12)]
    found = losses.loss(num_classes, smoothing, counts)(labels, logits)
    assert float(found) == pytest.approx(float(np.mean(counts[labels] * each)), rel=1e-5)


def test_a_rare_class_is_learnt_where_classes_count_alike():
    random = np.random.default_rng(0)
    labels = np.array([0] * 190 + [1] * 10)
    rows = (random.normal(size=(200, 2)) + labels[:, None]).astype(np.float32)
    found = {}
    for counts in (None, losses.balanced(labels, 2)):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        model.compile(keras.optimizers.Adam(0.1), losses.loss(2, 0.0, counts))
        model.fit(rows, labels, batch_size=200, epochs=100, verbose=0)
        found[counts is None] = float((model.predict(rows[labels == 1], verbose=0) > 0).mean())
    assert found[False] > found[True] + 0.3


def test_a_class_without_images_has_a_weight():
    assert losses.balanced(np.array([0, 0, 1, 1]), 3).tolist() == pytest.approx([2 / 3, 2 / 3, 4 / 3])
