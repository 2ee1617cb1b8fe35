"""Metrics, the models' answers and the verdict, through TFX's real Evaluator on models with known answers."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow.python.framework import ops

from components.evaluator import executor
from graftline.artifacts import evaluation, push, verdict
from graftline.artifacts.examples import EXTRA
from graftline.artifacts.metrics import ACCURACY, EXAMPLES
from graftline.base.errors import UserError
from graftline.serving import pushes, versions
from graftline.serving.versions import PRODUCTION, OvertakenError
from graftline.settings.gate import Gate
from tests import oracle
from tests.oracle import CANDIDATE_ANSWERS, LABELS, NAMES

LENIENT = partial(Gate, min_test_examples=1)
OTHER_WAY = [1 - label for label in LABELS]


@pytest.fixture
def evaluate(tmp_path):
    """Runs the Evaluator; returns its output folder and whether it blessed the model."""

    def run(gate: Gate, answers: list[int], **more):
        uri, blessing = oracle.evaluate(tmp_path, gate, answers, **more)
        return uri, blessing.get_int_custom_property("blessed")

    return run


def test_a_good_candidate_is_blessed(evaluate):
    labels = [0, 1] * 5
    uri, blessed = evaluate(Gate(min_accuracy=0.9), labels, production=[0, 0, 0, 0, *labels[4:]], labels=labels)
    assert blessed == 1
    assert verdict.read(uri).reasons == []
    assert evaluation.accuracies(evaluation.predictions(uri)) == {"candidate": 1.0, "production": 0.8}


def test_no_batch_of_images_is_turned_into_text(evaluate, monkeypatch):
    written = []

    def noted(tensor) -> str:
        written.append(tensor.dtype)
        return ""

    monkeypatch.setattr(ops._EagerTensorBase, "__repr__", noted)
    uri, _ = evaluate(LENIENT(min_accuracy=0.5), CANDIDATE_ANSWERS)
    assert evaluation.accuracies(evaluation.predictions(uri)) == {"candidate": 0.8}
    assert tf.string not in written, "the text of a batch of photos is several times their size"


def test_a_candidate_below_the_threshold_is_not_blessed(evaluate):
    uri, blessed = evaluate(LENIENT(min_accuracy=0.81), CANDIDATE_ANSWERS)
    assert blessed == 0
    assert verdict.read(uri).reasons[0] == "test accuracy is 80.00 %, but must be at least 81.00 %"


def test_a_candidate_worse_than_what_is_served_is_not_blessed_whatever_the_store_knows(evaluate):
    uri, blessed = evaluate(LENIENT(min_accuracy=0.5), CANDIDATE_ANSWERS, production=LABELS)
    assert blessed == 0
    (reason,) = [one for one in verdict.read(uri).reasons if "in production" in one]
    assert reason == "test accuracy above the model in production is -20.00 points, but must be at least -1.00 points"


def test_what_is_served_while_a_candidate_is_judged_is_noted_on_its_blessing(tmp_path):
    _, blessing = oracle.evaluate(tmp_path, Gate(min_accuracy=0.5), CANDIDATE_ANSWERS, production=LABELS)
    served = versions.served(tmp_path / "serving")
    assert blessing.get_string_custom_property(push.SERVED) == served
    assert json.loads(blessing.get_string_custom_property(push.OPPONENTS)) == {PRODUCTION: served}
    assert blessing.get_float_custom_property(push.ACCURACY) == pytest.approx(0.8)


def test_models_are_compared_on_the_classes_that_both_know_by_their_names(evaluate):
    # The candidate has one class before the two of the model in production, so its labels are different
    labels = [label + 1 for label in LABELS]
    uri, _ = evaluate(LENIENT(min_accuracy=0.5), labels, production=LABELS, names=["bird", *NAMES[:2]], labels=labels)
    answers = evaluation.predictions(uri)
    assert evaluation.accuracies(answers) == {"candidate": 1.0, "production": 1.0}
    compared = evaluation.compare(answers, PRODUCTION)
    assert (compared.classes, compared.difference, len(compared.right)) == (["cat", "dog"], 0.0, 10)
    assert verdict.read(uri).notes == [
        "Compared with the model in production on the 2 classes that both know; others: 1 new (bird)."
    ]


def test_a_model_of_other_classes_cannot_be_compared_and_is_not_replaced(evaluate):
    uri, blessed = evaluate(LENIENT(min_accuracy=0.5), LABELS, production=LABELS, names=["elk", "fox"])
    assert blessed == 0
    assert [reason for reason in verdict.read(uri).reasons if "knows too" in reason] == [
        "classes that the model in production knows too is 0 classes, but must be at least 1 classes"
    ]


def test_a_candidate_in_production_meets_what_it_met_before(tmp_path):
    serving = tmp_path / "serving"
    before = versions.publish(Path(oracle.write_model(tmp_path / "a", OTHER_WAY).uri, "Format-Serving"), serving)
    candidate = Path(oracle.write_model(tmp_path / "b", LABELS).uri, "Format-Serving")
    held_against = versions.opponents(serving, pushes.digest(candidate))
    assert held_against == {PRODUCTION: before.digest}
    pushed = versions.publish(candidate, serving, pushes.Push(0, "", opponents=held_against))
    assert versions.opponents(serving, pushed.digest) == held_against
    assert set(executor.find(serving, pushed.digest, held_against)) == {PRODUCTION}
    shutil.rmtree(serving / str(before.version))
    assert executor.find(serving, pushed.digest, held_against) == {}
    with pytest.raises(OvertakenError, match="are no longer those that the candidate is to be compared with"):
        executor.find(serving, "another", held_against)


def test_a_model_without_the_names_of_its_classes_stops_the_run(evaluate, tmp_path):
    place = Path(oracle.write_model(tmp_path / "strange", LABELS).uri, "Format-Serving")
    shutil.rmtree(place / EXTRA)
    versions.publish(place, tmp_path / "serving")
    with pytest.raises(Exception, match="does not say what its classes are called") as caught:
        evaluate(LENIENT(min_accuracy=0.5), LABELS)
    assert isinstance(caught.value, UserError)


def test_scores_of_classes_are_those_of_the_confusion_matrix(evaluate):
    uri, _ = evaluate(LENIENT(min_accuracy=0.5), CANDIDATE_ANSWERS, production=LABELS)
    found = evaluation.metrics(uri)
    assert found[ACCURACY.key] == pytest.approx(0.8)
    assert found[EXAMPLES.key] == 10
    assert evaluation.confusion(uri, 2) == [[4, 0], [2, 4]]
    cat, dog = evaluation.class_scores(evaluation.predictions(uri))
    assert (cat.name, cat.examples, dog.examples) == ("cat", 4, 6)
    assert (cat.precision, cat.recall, cat.f1) == pytest.approx((4 / 6, 1, 0.8))
    assert (dog.precision, dog.recall, dog.f1) == pytest.approx((1, 4 / 6, 0.8))


def test_a_class_that_is_never_answered_is_never_recalled(evaluate):
    uri, blessed = evaluate(LENIENT(min_accuracy=0.5), [1] * 10)
    cat, _ = evaluation.class_scores(evaluation.predictions(uri))
    assert (cat.precision, cat.recall, cat.f1) == (0, 0, 0)
    assert evaluation.confusion(uri, 2) == [[0, 4], [0, 6]]
    assert blessed == 0


def test_what_both_models_answered_is_kept_to_the_bit(evaluate, monkeypatch):
    monkeypatch.setattr(executor, "BATCH", 4)  # so that there are several batches
    uri, _ = evaluate(LENIENT(min_accuracy=0.5), CANDIDATE_ANSWERS, production=LABELS)
    kept = evaluation.predictions(uri)
    assert kept.image_ids == [str(number) for number in range(10)]
    assert kept.labels.tolist() == LABELS
    assert kept.predicted.tolist() == CANDIDATE_ANSWERS
    for answers, probabilities in (
        (CANDIDATE_ANSWERS, kept.candidate),
        (LABELS, kept.opponents[PRODUCTION].probabilities),
    ):
        table = oracle.Oracle(answers, 2).probabilities.numpy()
        assert probabilities.dtype == np.float32
        assert np.array_equal(probabilities, table)


def test_more_than_two_classes_are_measured_too(evaluate):
    uri, _ = evaluate(LENIENT(min_accuracy=0.5), [2, *CANDIDATE_ANSWERS[1:]], names=NAMES)
    assert evaluation.confusion(uri, 3) == [[3, 0, 1], [2, 4, 0], [0, 0, 0]]
    assert evaluation.accuracies(evaluation.predictions(uri)) == {"candidate": 0.7}


def test_test_images_that_look_like_one_of_training_do_not_count(evaluate):
    uri, blessed = evaluate(LENIENT(min_accuracy=0.75), CANDIDATE_ANSWERS, leaked=["0", "1", "2", "no test image"])
    assert blessed == 0, "five of the other seven are right"
    assert verdict.read(uri).reasons[0] == "test accuracy is 71.43 %, but must be at least 75.00 %"
    assert evaluation.predictions(uri).image_ids == [str(number) for number in range(3, 10)]
    assert evaluation.metrics(uri)[EXAMPLES.key] == 7
    assert evaluation.confusion(uri, 2) == [[1, 0], [2, 4]]


def test_where_all_of_them_do_nothing_is_measured(evaluate):
    with pytest.raises(UserError, match=r"All 10 test images look like a training image, such as '0'"):
        evaluate(Gate(min_accuracy=0), CANDIDATE_ANSWERS, leaked=[str(number) for number in range(10)])


def test_tfma_takes_no_time_for_each_class(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0), CANDIDATE_ANSWERS)
    assert [measured.slice_key.single_slice_keys for measured in tfma.load_metrics(uri)] == [[]]
    assert [plots.slice_key.single_slice_keys for plots in tfma.load_plots(uri)] == [[]]
