"""Metrics, thresholds and the verdict, through TFX's real Evaluator on models whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow_model_analysis as tfma

from components.evaluator import component
from graftline.artifacts import evaluation, verdict
from graftline.artifacts.metrics import ACCURACY, EXAMPLES
from graftline.artifacts.push import SERVED
from graftline.base.errors import UserError
from graftline.serving import versions
from graftline.settings.gate import Gate
from tests import oracle
from tests.oracle import CANDIDATE_ANSWERS, LABELS


@pytest.fixture
def evaluate(tmp_path):
    """Runs the Evaluator; returns its output folder and whether it blessed."""

    def run(gate: Gate, answers: list[int], baseline: list[int] | None = None, num_classes: int = 2, **others):
        uri, blessing = oracle.evaluate(tmp_path, gate, answers, baseline, num_classes, **others)
        return uri, blessing.get_int_custom_property("blessed")

    return run


def test_a_good_candidate_is_blessed_though_one_class_alone_is_below_the_threshold(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.75), CANDIDATE_ANSWERS)
    assert blessed == 1
    assert verdict.read(uri).reasons == []
    assert evaluation.accuracies(uri) == pytest.approx({"candidate": 0.8})


def test_what_is_served_while_a_candidate_is_judged_is_noted_on_its_blessing(tmp_path):
    served = versions.publish(Path(oracle.write_model(tmp_path / "served", LABELS, 2).uri), tmp_path / "serving", 1)
    _, blessing = oracle.evaluate(tmp_path, Gate(min_accuracy=0.5), CANDIDATE_ANSWERS)
    assert blessing.get_string_custom_property(SERVED) == served.digest


def test_a_candidate_below_the_threshold_is_not_blessed(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.81), CANDIDATE_ANSWERS)
    assert blessed == 0
    assert verdict.read(uri).reasons == ["test accuracy is 80.00 %, at least 81.00 % is demanded"]


def test_a_candidate_worse_than_the_baseline_is_not_blessed(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS, baseline=LABELS)
    assert blessed == 0
    assert verdict.read(uri).reasons == [
        "test accuracy above the baseline's is -20.00 points, at least 0.00 points is demanded"
    ]
    assert evaluation.accuracies(uri) == pytest.approx({"candidate": 0.8, "baseline": 1.0})


@pytest.mark.parametrize(("drop", "answers"), [(0.2, CANDIDATE_ANSWERS), (0.0, LABELS)])
def test_a_candidate_within_the_allowed_drop_is_blessed(evaluate, drop, answers):
    uri, blessed = evaluate(Gate(min_accuracy=0.5, max_accuracy_drop=drop), answers, baseline=LABELS)
    assert blessed == 1
    assert verdict.read(uri).reasons == []


def test_scores_of_classes_are_those_of_the_confusion_matrix(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS)
    found = evaluation.metrics(uri)
    assert found[EXAMPLES.key] == 10
    assert evaluation.confusion(uri, 2) == [[4, 0], [2, 4]]
    cat, dog = evaluation.class_scores(evaluation.predictions(uri), ["cat", "dog"])
    assert (cat.name, cat.examples, dog.examples) == ("cat", 4, 6)
    assert (cat.precision, cat.recall, cat.f1) == pytest.approx((4 / 6, 1, 0.8))
    assert (dog.precision, dog.recall, dog.f1) == pytest.approx((1, 4 / 6, 0.8))


def test_a_class_that_is_never_answered_is_never_recalled(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0.5), [1] * 10)
    cat, _ = evaluation.class_scores(evaluation.predictions(uri), ["cat", "dog"])
    assert (cat.precision, cat.recall, cat.f1) == (0, 0, 0)
    assert evaluation.confusion(uri, 2) == [[0, 4], [0, 6]]


def test_with_a_baseline_metrics_and_confusion_are_still_the_candidates(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS, baseline=LABELS)
    found = evaluation.metrics(uri)
    assert found[ACCURACY.key] == pytest.approx(0.8)
    assert evaluation.confusion(uri, 2) == [[4, 0], [2, 4]]


def test_what_both_models_answered_is_kept_to_the_bit(evaluate, monkeypatch):
    monkeypatch.setattr(component, "BATCH", 4)  # so that there are several
    uri, _ = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS, baseline=LABELS)
    kept = evaluation.predictions(uri)
    assert kept.image_ids == [str(number) for number in range(10)]
    assert kept.labels.tolist() == LABELS
    assert kept.predicted.tolist() == CANDIDATE_ANSWERS
    for answers, probabilities in ((CANDIDATE_ANSWERS, kept.candidate), (LABELS, kept.baseline)):
        table = oracle.Oracle(answers, 2).probabilities.numpy()
        assert probabilities.dtype == np.float32
        assert np.array_equal(probabilities, table)


def test_without_a_baseline_there_are_no_predictions_of_it(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS)
    assert evaluation.predictions(uri).baseline is None


def test_more_than_two_classes_are_measured_too(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.5), [2, *CANDIDATE_ANSWERS[1:]], num_classes=3)
    assert blessed == 1
    assert evaluation.confusion(uri, 3) == [[3, 0, 1], [2, 4, 0], [0, 0, 0]]
    assert evaluation.accuracies(uri) == pytest.approx({"candidate": 0.7})


def test_test_images_that_look_like_one_of_training_do_not_count(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.75), CANDIDATE_ANSWERS, leaked=["0", "1", "2", "no test image"])
    assert blessed == 0, "of the other seven, five are right"
    assert verdict.read(uri).reasons == ["test accuracy is 71.43 %, at least 75.00 % is demanded"]
    assert evaluation.predictions(uri).image_ids == [str(number) for number in range(3, 10)]
    assert evaluation.metrics(uri)[EXAMPLES.key] == 7
    assert evaluation.confusion(uri, 2) == [[1, 0], [2, 4]]


def test_where_all_of_them_do_nothing_is_measured(evaluate):
    with pytest.raises(UserError, match=r"All 10 images of the test split look like one of training, such as '0'"):
        evaluate(Gate(min_accuracy=0), CANDIDATE_ANSWERS, leaked=[str(number) for number in range(10)])


def test_tfma_takes_no_time_for_each_class(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0), CANDIDATE_ANSWERS)
    assert [measured.slice_key.single_slice_keys for measured in tfma.load_metrics(uri)] == [[]]
    assert [plots.slice_key.single_slice_keys for plots in tfma.load_plots(uri)] == [[]]
