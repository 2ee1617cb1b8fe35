"""How much a given number of images can prove: compared with textbooks and with random samples."""

import numpy as np
import pytest

from graftline.artifacts import intervals


@pytest.mark.parametrize(
    ("correct", "total", "interval"), [(8, 10, (0.4902, 0.9433)), (0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0))]
)
def test_wilsons_interval_is_the_textbooks(correct, total, interval):
    assert intervals.wilson(correct, total) == pytest.approx(interval, abs=1e-4)


def test_the_paired_interval_holds_the_difference_nineteen_times_in_twenty():
    random = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        hard = random.random(200) < 0.1  # both models fail on hard images, so the samples are not independent
        first, second = (~hard & (random.random(200) < share) for share in (0.95, 0.9))
        low, high = intervals.paired(first, second)
        held += low <= 0.9 * 0.05 <= high
    assert 0.92 <= held / 400 <= 0.99


def test_the_paired_interval_of_the_same_answers_is_about_zero():
    right = np.ones(100, bool)
    low, high = intervals.paired(right, right)
    assert -0.05 < low < 0 < high < 0.05
    assert low == pytest.approx(-high)


@pytest.mark.parametrize(
    ("gained", "lost", "sure"),
    [(0, 0, 0.0), (0, 5, 0.0), (4, 0, 1 - 1 / 16), (5, 0, 1 - 1 / 32), (8, 2, 1 - 56 / 1024)],
)
def test_how_sure_a_better_model_is_follows_from_the_images_that_one_alone_has_right(gained, lost, sure):
    first = np.array([True] * gained + [False] * lost + [True] * 50)
    second = np.array([False] * gained + [True] * lost + [True] * 50)
    assert intervals.confidence(first, second) == pytest.approx(sure)
