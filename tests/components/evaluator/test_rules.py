"""The gate's rules, on answers that are made up: compared in images, so that no rounding decides."""

import numpy as np
import pytest

from components.evaluator.rules import decide
from graftline.artifacts.evaluation import Predictions
from graftline.settings.gate import Gate


def evidence(images: int, right: int, baseline_right: int | None = None) -> Predictions:
    """Returns answers of which the first so many are right; probabilities are of 32 bits, as a model's."""

    def answers(count: int) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[(np.arange(images) >= count).astype(int)]

    labels = np.zeros(images, int)
    baseline = None if baseline_right is None else answers(baseline_right)
    return Predictions([str(number) for number in range(images)], labels, answers(right), baseline)


@pytest.mark.parametrize(
    ("images", "right", "demanded", "blessed"),
    [(20, 19, 0.95, True), (20, 18, 0.95, False), (3, 1, 1 / 3, True), (10_000, 9_499, 0.95, False), (5, 5, 1.0, True)],
)
def test_the_bound_itself_is_enough_and_one_image_less_is_not(images, right, demanded, blessed):
    assert decide(evidence(images, right), Gate(min_accuracy=demanded)).blessed is blessed


@pytest.mark.parametrize(
    ("right", "baseline_right", "allowed", "blessed"),
    [(48, 49, 0.02, True), (47, 49, 0.02, False), (49, 49, 0.0, True), (48, 49, 0.0, False), (50, 49, 0.0, True)],
)
def test_as_many_images_fewer_as_are_allowed_are_not_too_many(right, baseline_right, allowed, blessed):
    gate = Gate(min_accuracy=0.5, max_accuracy_drop=allowed)
    assert decide(evidence(50, right, baseline_right), gate).blessed is blessed


def test_every_missed_rule_is_told():
    verdict = decide(evidence(10, 6, 9), Gate(min_accuracy=0.8, max_accuracy_drop=0.1))
    assert [rule.name for rule in verdict.rules] == ["test accuracy", "test accuracy above the baseline's"]
    assert verdict.reasons == [
        "test accuracy is 60.00 %, at least 80.00 % is demanded",
        "test accuracy above the baseline's is -30.00 points, at least -10.00 points is demanded",
    ]
