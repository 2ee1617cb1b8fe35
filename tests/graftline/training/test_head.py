"""The solved head: as good as scikit-learn's own at any scale of features, and honest about images that it did not see."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from graftline.training import head

IMAGES, CHANNELS = 120, 24


def features(
    classes: int, views: int = 1, spread: float = 1.0, channels: int = CHANNELS
) -> tuple[np.ndarray, np.ndarray]:
    """Returns features of well-separated classes, on scales that differ by channel, and their labels."""
    random = np.random.default_rng(0)
    labels = np.arange(IMAGES) % classes
    centers = random.normal(size=(classes, channels))
    rows = centers[labels] + spread * random.normal(size=(views, IMAGES, channels))
    return (rows * 10.0 ** random.integers(-2, 3, channels)).astype(np.float32), labels


def answered(solution: head.Solution, rows: np.ndarray) -> np.ndarray:
    logits = rows @ solution.kernel + solution.bias
    return (logits[:, 0] > 0).astype(int) if logits.shape[1] == 1 else logits.argmax(axis=1)


@pytest.mark.parametrize("channels", [CHANNELS, 2 * IMAGES])
@pytest.mark.parametrize("classes", [2, 5])
def test_it_is_scikit_learns_on_standardised_features(classes, channels):
    rows, labels = features(classes, spread=3.0, channels=channels)
    found = head.solved(rows, labels, seed=0)
    scaler = StandardScaler().fit(rows[0])
    expected = LogisticRegression(C=found.strength, max_iter=1000).fit(scaler.transform(rows[0]), labels)
    assert found.kernel.shape == (channels, 1 if classes == 2 else classes)
    kernel = expected.coef_.T / scaler.scale_[:, None]
    np.testing.assert_allclose(found.kernel, kernel, atol=0.02 * np.abs(kernel).max())
    agreed = answered(found, rows[0]) == expected.predict(scaler.transform(rows[0]))
    assert agreed.mean() > 0.99


def test_several_views_of_an_image_weigh_as_much_as_one():
    rows, labels = features(3, spread=3.0)
    once, thrice = (head.solved(np.repeat(rows, times, axis=0), labels, seed=0) for times in (1, 3))
    assert once.strength == thrice.strength
    np.testing.assert_allclose(once.kernel, thrice.kernel, atol=0.02 * np.abs(once.kernel).max())


def test_noise_is_not_learnt_by_heart():
    rows, labels = features(2, spread=1e3)
    found = head.solved(rows, labels, seed=0)
    strength, held_out = head.cross_validated(rows[0], labels, head.folds(labels, 0))
    right = held_out.argmax(axis=1) == labels
    assert 0.3 < right.mean() < 0.7, "held-out images must show that there is nothing to learn"
    assert held_out.max() < 0.8, "the chosen penalty must keep every answer unsure"
    assert found.strength == strength


def test_an_image_is_judged_by_a_head_that_saw_none_of_its_fold():
    labels = np.tile(np.arange(IMAGES) % 2, 2)  # each image twice
    noise = np.random.default_rng(0).normal(size=(IMAGES, 2 * IMAGES)).astype(np.float32)
    rows = np.tile(noise, (2, 1))  # more channels than images, so any labels can be memorized
    together = np.tile(head.folds(labels[:IMAGES], 0), 2)
    _, apart = head.cross_validated(rows, labels, np.repeat([0, 1], IMAGES))
    _, held_out = head.cross_validated(rows, labels, together)
    assert (apart.argmax(axis=1) == labels).mean() > 0.9, "a head that saw the copy must know the image"
    assert (held_out.argmax(axis=1) == labels).mean() < 0.7


def test_a_class_of_one_image_has_a_place_in_the_head():
    rows, labels = features(3)
    few = np.concatenate([np.flatnonzero(labels < 2), [2]])
    found = head.solved(rows[:, few], labels[few], seed=0)
    assert found.kernel.shape == (CHANNELS, 3)
    _, held_out = head.cross_validated(rows[0, few], labels[few], head.folds(labels[few], 0))
    assert np.isfinite(held_out).all()
    assert answered(found, rows[0, few])[-1] == 2


def test_folds_spread_each_class():
    labels = np.array([0] * 50 + [1] * 7)
    fold_of = head.folds(labels, seed=1)
    for label, most in ((0, 10), (1, 2)):
        counts = np.bincount(fold_of[labels == label], minlength=head.FOLDS)
        assert counts.max() <= most and counts.min() >= most - 1
    assert (fold_of != head.folds(labels, seed=2)).any()


def test_so_many_rows_are_not_held_in_memory(monkeypatch):
    split = head.CachedSplit((Path("plain"), Path("mirrored")), 30)
    assert head.is_solvable(split)
    monkeypatch.setattr(head, "MOST_ROWS", 59)
    assert not head.is_solvable(split)


def test_a_rare_class_is_found_as_well_as_the_others_where_classes_count_alike():
    random = np.random.default_rng(0)
    labels = np.array([0] * 200 + [1] * 10)
    rows = (random.normal(size=(210, 4)) + labels[:, None]).astype(np.float32)
    plain, balanced = (head.solved(rows[None], labels, seed=0, balanced=one) for one in (False, True))
    asked = (random.normal(size=(500, 4)) + 1).astype(np.float32)  # all of the rare class
    assert answered(balanced, asked).mean() > answered(plain, asked).mean() + 0.2
