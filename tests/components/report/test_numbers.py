"""The numbers of the report: those of TFMA, and intervals, curves and calibration with known values."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.report import numbers
from graftline.artifacts import evaluation, intervals
from graftline.artifacts.metrics import LOG_LOSS
from graftline.settings.gate import Gate
from tests import oracle
from tests.oracle import CANDIDATE_ANSWERS, LABELS

NAMES = ["cat", "dog"]


@pytest.fixture(scope="module")
def uri(tmp_path_factory) -> str:
    """An evaluation of a candidate that gets eight of ten right, against a baseline that gets all right."""
    folder: Path = tmp_path_factory.mktemp("evaluated")
    return oracle.evaluate(folder, Gate(min_accuracy=0.9), CANDIDATE_ANSWERS, production=LABELS)[0]


def looks(**values: list[float]) -> dict[str, tuple[np.ndarray, str]]:
    return {name: (np.array(found, float), "units") for name, found in values.items()}


def test_scores_and_confusion_are_those_of_tfma(uri):
    found = numbers.measure(uri, evaluation.predictions(uri), NAMES, {}, None)
    assert found.confusion == [[4, 0], [2, 4]]
    cat, dog = found.scores
    assert (cat.name, cat.examples, dog.examples) == ("cat", 4, 6)
    assert (cat.precision, cat.recall, cat.f1) == pytest.approx((4 / 6, 1, 0.8))
    assert (dog.precision, dog.recall, dog.f1) == pytest.approx((1, 4 / 6, 0.8))
    assert found.measured[LOG_LOSS.key] == pytest.approx(-(8 * np.log(0.9) + 2 * np.log(0.1)) / 10, rel=1e-5)
    assert [(part.name, part.examples, part.accuracy) for part in found.slices] == [
        ("cat", 4, 1.0),
        ("dog", 6, pytest.approx(4 / 6)),
    ]


def test_predictions_that_are_not_those_that_tfma_counted_are_refused(uri):
    predictions = evaluation.predictions(uri)
    other = replace(predictions, candidate=predictions.candidate[::-1])
    with pytest.raises(ValueError, match=r"have an accuracy of .*, but TFMA measured 0\.8"):
        numbers.measure(uri, other, NAMES, {}, None)


def test_slices_hold_about_as_many_images_each(uri):
    found = numbers.measure(uri, evaluation.predictions(uri), NAMES, looks(size=list(range(10)), same=[3] * 10), None)
    parts = [part for part in found.slices if part.group != "class"]
    assert [(part.group, part.name, part.examples) for part in parts] == [
        ("size", "0 to 3 units", 4),
        ("size", "4 to 6 units", 3),
        ("size", "7 to 9 units", 3),
    ]
    assert [part.accuracy for part in parts] == pytest.approx([1, 1, 1 / 3])
    assert all(part.interval == intervals.wilson(round(part.accuracy * part.examples), part.examples) for part in parts)


def test_images_whose_look_is_unknown_are_in_no_slice(uri):
    found = numbers.measure(uri, evaluation.predictions(uri), NAMES, looks(size=[float("nan"), *range(9)]), None)
    assert sum(part.examples for part in found.slices if part.group == "size") == 9


def sampled(temperature: float, examples: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels, and probabilities of three classes that dividing the logits by a temperature would calibrate."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (examples, 3))
    told = np.exp(logits - logits.max(axis=1, keepdims=True))
    true = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    told, true = told / told.sum(axis=1, keepdims=True), true / true.sum(axis=1, keepdims=True)
    labels = (random.random((examples, 1)) > true.cumsum(axis=1)).sum(axis=1)
    return labels.clip(0, 2), told


def test_what_a_temperature_gains_is_told_against_the_probabilities_without_it():
    labels, overconfident = sampled(temperature=2.0)
    served = overconfident**0.5 / (overconfident**0.5).sum(
        axis=1, keepdims=True
    )  # as if the logits were divided by two
    found, without = numbers.calibrate(labels, served, 2.0), numbers.calibrate(labels, overconfident, None)
    assert (found.temperature, without.temperature) == (2.0, None)
    assert found.ece < 0.02 < 0.1 < found.ece_without
    assert found.log_loss < found.log_loss_without
    assert (found.ece_without, found.log_loss_without) == pytest.approx((without.ece, without.log_loss))
    assert (without.ece_without, without.log_loss_without) == (without.ece, without.log_loss)


def test_probabilities_that_are_what_they_say_have_no_calibration_error():
    found = numbers.calibrate(*sampled(temperature=1.0), None)
    assert found.ece < 0.02
    assert sum(found.examples) == 20_000
    assert len(found.confidence) == len(found.accuracy) == len(found.examples) <= numbers.BINS


def test_log_loss_is_that_of_tfma(uri):
    found = numbers.measure(uri, evaluation.predictions(uri), NAMES, {}, None)
    assert found.calibration.log_loss == pytest.approx(found.measured[LOG_LOSS.key], rel=1e-6)


def test_curves_are_short_and_their_areas_are_those_of_all_examples():
    labels, probabilities = sampled(temperature=1.0)
    predictions = evaluation.Predictions(
        ["a", "b", "c"], [str(number) for number in range(len(labels))], labels, probabilities
    )
    curves = list(numbers._curves(predictions, ["a", "b", "c"], numbers._roc))
    assert [curve.name for curve in curves] == ["a", "b", "c"]
    for label, curve in enumerate(curves):
        assert len(curve.x) == len(curve.y) <= numbers.POINTS
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
        is_class, scores = labels == label, probabilities[:, label]
        better = (scores[is_class][:500, None] > scores[~is_class][None, :500]).mean()  # what the area measures
        assert curve.area == pytest.approx(better, abs=0.03)


def test_a_class_without_test_images_has_no_curve():
    predictions = evaluation.Predictions(["a", "b", "c"], ["0", "1"], np.array([0, 1]), np.eye(3)[:2])
    assert [curve.name for curve in numbers._curves(predictions, ["a", "b", "c"], numbers._roc)] == ["a", "b"]
