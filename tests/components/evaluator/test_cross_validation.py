"""Cross-validation: a head that saw neither an image nor its look-alikes classifies it, and each series counts once."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from components.evaluator import cross_validation
from graftline.artifacts import held_out, verdict
from graftline.artifacts.examples import SPLITS, TEST, TRAIN, VALIDATION
from graftline.artifacts.history import HISTORY_FILE
from graftline.settings.gate import Gate
from tests import oracle
from tests.clusters import clusters, write

SIZES = {TRAIN: 60, VALIDATION: 12, TEST: 12}


def model_run(folder: Path, features: dict[str, str]) -> str:
    """Writes what the Trainer stores."""
    noted = {"features": {split: [path] for split, path in features.items()}, "balanced": True}
    (folder / HISTORY_FILE).write_text(json.dumps(noted))
    return str(folder)


def write_all(folder: Path, spread: float = 0.2) -> dict[str, str]:
    """Writes features of every split, with alternating labels of two classes."""
    labels = {split: np.arange(size) % 2 for split, size in SIZES.items()}
    return {
        split: write(folder / split, clusters(seed, labels[split], spread), labels[split])
        for seed, split in enumerate(SPLITS)
    }


def test_classes_that_lie_apart_are_told_and_noise_is_not(tmp_path):
    run = model_run(tmp_path, write_all(tmp_path / "apart"))
    found = cross_validation.run(run, [])
    assert (len(found.labels), found.tested.sum(), found.right.mean()) == (84, 12, 1)
    run = model_run(tmp_path, write_all(tmp_path / "noise", spread=1e3))
    assert 0.3 < cross_validation.run(run, []).right.mean() < 0.7


def test_a_series_counts_once_and_no_image_is_told_by_what_looks_like_it(tmp_path):
    labels = np.arange(40) % 2
    noise = np.random.default_rng(0).normal(size=(40, 64))  # more channels than images: any labels can be memorized
    features = {TRAIN: write(tmp_path / "train", np.tile(noise, (3, 1)), np.tile(labels, 3))}
    run = model_run(tmp_path, features)
    series = [[(TRAIN, number + copy * 40) for copy in range(3)] for number in range(40)]
    alone = cross_validation.run(run, [])
    found = cross_validation.run(run, series)
    assert (len(alone.labels), len(found.labels)) == (120, 40)
    assert alone.right.mean() > found.right.mean() + 0.2, "a head only knows noise if it learned from a copy"


@pytest.mark.parametrize("gone", [True, False])
def test_many_images_or_features_that_are_gone_are_left_alone(tmp_path, monkeypatch, gone):
    features = write_all(tmp_path)
    if gone:
        features[TEST] = "/nowhere/test_plain"
    else:
        monkeypatch.setattr(cross_validation, "SMALL", 83)
    assert cross_validation.run(model_run(tmp_path, features), []) is None


def test_a_class_of_one_image_is_told_wrong_and_nothing_fails(tmp_path):
    labels = np.array([0, 1] * 15 + [2])
    run = model_run(tmp_path, {TRAIN: write(tmp_path / "train", clusters(0, labels), labels)})
    found = cross_validation.run(run, [])
    assert found.right.tolist() == [True] * 30 + [False]
    assert np.isfinite(found.probabilities).all()


def test_where_one_class_alone_is_left_to_learn_from_nothing_is_told(tmp_path):
    labels = np.array([0] * 12 + [1])
    found = cross_validation.run(model_run(tmp_path, {TRAIN: write(tmp_path / "a", clusters(0, labels), labels)}), [])
    assert 9 <= len(found.labels) < 12, "all but those in the fold of the other class"
    assert set(found.labels) == {0}
    alone = np.array([0, 1])
    run = model_run(tmp_path, {TRAIN: write(tmp_path / "b", clusters(0, alone), alone)})
    assert cross_validation.run(run, []) is None


def test_the_evaluator_blesses_what_its_few_test_images_alone_would_not_let_it_judge(tmp_path):
    gate = partial(Gate, min_accuracy=0.8, min_test_examples=6)  # the test split has four cats
    uri, blessing = oracle.evaluate(tmp_path / "alone", gate(), oracle.LABELS)
    assert blessing.get_int_custom_property("blessed") == 0
    assert held_out.read(uri) is None
    features = write_all(tmp_path / "features")
    uri, blessing = oracle.evaluate(tmp_path / "helped", gate(), oracle.LABELS, features=features)
    assert blessing.get_int_custom_property("blessed") == 1
    assert held_out.read(uri).right.all()
    assert "accuracy with cross-validation" in [rule.name for rule in verdict.read(uri).rules]
    _, blessing = oracle.evaluate(tmp_path / "bad", gate(), [0] * 10, features=features)
    assert blessing.get_int_custom_property("blessed") == 0, "whatever the heads answer"
