"""Advice: more photos if the last ones still helped, and of which classes."""

from pathlib import Path

import numpy as np
import pytest

from components.report import advice
from graftline.artifacts import held_out
from graftline.artifacts.examples import TEST, TRAIN
from graftline.artifacts.held_out import HeldOut
from graftline.training import head
from tests.clusters import write

CHANNELS = 40
NAMES = ["cat", "dog", "eel"]


def folders(tmp_path: Path, signal: float, labels: np.ndarray, hard: float | None = None) -> dict[str, str]:
    """Writes features whose classes are `signal` apart; the third class is `hard` apart if that is given."""
    tmp_path.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    strength = np.where(labels == 2, signal if hard is None else hard, signal)[:, None]
    pooled = strength * np.eye(CHANNELS)[labels] + random.normal(size=(len(labels), CHANNELS))
    chosen = head.cross_validated(pooled, labels, head.folds(labels, 0))[0]
    held_out.write(str(tmp_path), HeldOut(labels, np.eye(3)[labels], labels < 0, chosen))
    edge = len(labels) - 20
    return {
        TRAIN: write(tmp_path / TRAIN, pooled[:edge], labels[:edge]),
        TEST: write(tmp_path / TEST, pooled[edge:], labels[edge:]),
    }


def test_what_is_learnt_slowly_asks_for_more_photos_and_what_is_clear_at_once_does_not(tmp_path):
    labels = np.arange(150) % 3
    hard = advice.find(str(tmp_path / "a"), folders(tmp_path / "a", 2.0, labels), [], NAMES, False)
    clear = advice.find(str(tmp_path / "b"), folders(tmp_path / "b", 20.0, labels), [], NAMES, False)
    assert [one.images for one in hard.learnt] == [30, 60, 90, 120]
    assert hard.gain > 0.05
    assert clear.gain == pytest.approx(0, abs=0.01)
    assert clear.learnt[-1].accuracy == 1
    for one in hard.learnt:
        assert one.interval[0] < one.accuracy < one.interval[1]


def test_the_class_that_is_found_least_comes_first(tmp_path):
    labels = np.arange(150) % 3
    found = advice.find(str(tmp_path), folders(tmp_path, 6.0, labels, hard=0.3), [], NAMES, False)
    assert found.classes[0].name == "eel"
    assert found.classes[0].recall < min(one.recall for one in found.classes[1:]) - 0.05
    assert found.classes[0].gain > max(one.gain for one in found.classes[1:]) + 0.05


def test_a_series_counts_once_and_no_photo_is_told_by_another_of_its_series(tmp_path):
    labels = np.tile(np.arange(60) % 3, 2)  # each photo twice
    random = np.random.default_rng(0)
    noise = np.tile(random.normal(size=(60, 100)), (2, 1))
    held_out.write(str(tmp_path), HeldOut(labels, np.eye(3)[labels], labels < 0, 0.01))
    features = {TRAIN: write(tmp_path / TRAIN, noise, labels)}
    series = [[(TRAIN, number), (TRAIN, number + 60)] for number in range(60)]
    found = advice.find(str(tmp_path), features, series, NAMES, False)
    assert sum(one.images for one in found.classes) == 60
    assert found.learnt[-1].accuracy < 0.6


def test_of_large_sets_nothing_is_said(tmp_path):
    features = folders(tmp_path, 6.0, np.arange(60) % 3)
    (tmp_path / held_out.HELD_OUT_FILE).unlink()
    assert advice.find(str(tmp_path), features, [], NAMES, False) is None
