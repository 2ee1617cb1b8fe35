"""Metrics, thresholds and the verdict, through TFX's real Evaluator on models whose answers are known."""

import pytest
import tensorflow as tf
from google.protobuf import json_format
from tfx.components.evaluator.executor import Executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx.utils import json_utils

from components import evaluation
from components.features import IMAGE, LABEL, LABEL_NAME, TEST
from settings import Gate

RUNNER = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]
CANDIDATE_ANSWERS = [0, 0, 0, 0, 1, 1, 1, 0, 0, 1]  # eight of ten right: four of class 0, four of class 1
LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


class Oracle(tf.Module):
    """A model that answers what its table says, looked up by the number in an example's `image`."""

    def __init__(self, answers: list[int], num_classes: int):
        super().__init__()
        self.probabilities = tf.constant(tf.one_hot(answers, num_classes) * 0.8 + 0.2 / num_classes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        features = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([], tf.string)})
        return {"probabilities": tf.gather(self.probabilities, tf.strings.to_number(features[IMAGE], tf.int32))}


def write_model(folder, answers: list[int], num_classes: int) -> standard_artifacts.Model:
    model = Oracle(answers, num_classes)
    tf.saved_model.save(model, str(folder / "Format-Serving"), signatures={"serving_default": model.serve})
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    return artifact


def write_examples(folder) -> standard_artifacts.Examples:
    (folder / f"Split-{TEST}").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / f"Split-{TEST}" / "data-00000-of-00001")) as writer:
        for index, label in enumerate(LABELS):
            features = {
                IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[str(index).encode()])),
                LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                LABEL_NAME: tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"cat" if label == 0 else b"dog"])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = str(folder), json_utils.dumps([TEST])
    return artifact


@pytest.fixture
def evaluate(tmp_path):
    """Runs the Evaluator; returns its output folder and the blessing."""

    def run(gate: Gate, answers: list[int], baseline: list[int] | None = None, num_classes: int = 2):
        inputs = {
            "examples": [write_examples(tmp_path / "examples")],
            "model": [write_model(tmp_path / "candidate", answers, num_classes)],
        }
        if baseline:
            inputs["baseline_model"] = [write_model(tmp_path / "baseline", baseline, num_classes)]
        evaluation_artifact, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
        evaluation_artifact.uri, blessing.uri = str(tmp_path / "evaluation"), str(tmp_path / "blessing")
        config = json_format.MessageToJson(evaluation.eval_config(gate, num_classes), preserving_proto_field_name=True)
        Executor(BaseBeamExecutor.Context(beam_pipeline_args=RUNNER, tmp_dir=str(tmp_path / "tmp"))).Do(
            inputs,
            {"evaluation": [evaluation_artifact], "blessing": [blessing]},
            {"eval_config": config, "example_splits": json_utils.dumps([TEST])},
        )
        return evaluation_artifact.uri, blessing.get_int_custom_property("blessed")

    return run


def test_a_good_candidate_is_blessed_though_one_class_alone_is_below_the_threshold(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.75), CANDIDATE_ANSWERS)
    assert blessed == 1
    assert evaluation.verdict(uri) == []
    assert evaluation.accuracies(uri) == pytest.approx({"candidate": 0.8})


def test_a_candidate_below_the_threshold_is_not_blessed(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.81), CANDIDATE_ANSWERS)
    assert blessed == 0
    assert evaluation.verdict(uri) == ["accuracy 0.8000 is below the threshold of 0.8100"]


def test_a_candidate_worse_than_the_baseline_is_not_blessed(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS, baseline=LABELS)
    assert blessed == 0
    assert evaluation.verdict(uri) == ["accuracy is 0.2000 below the baseline's, 0.0000 is allowed"]
    assert evaluation.accuracies(uri) == pytest.approx({"candidate": 0.8, "baseline": 1.0})


@pytest.mark.parametrize(("drop", "answers"), [(0.2, CANDIDATE_ANSWERS), (0.0, LABELS)])
def test_a_candidate_within_the_allowed_drop_is_blessed(evaluate, drop, answers):
    uri, blessed = evaluate(Gate(min_accuracy=0.5, max_accuracy_drop=drop), answers, baseline=LABELS)
    assert blessed == 1
    assert evaluation.verdict(uri) == []


def metric(uri: str, name: str, class_id: int | None = None, slice_value: bytes | None = None) -> float:
    found = [
        item.value.double_value.value
        for metrics in evaluation.tfma.load_metrics(uri)
        if [key.bytes_value for key in metrics.slice_key.single_slice_keys] == ([slice_value] if slice_value else [])
        for item in metrics.metric_keys_and_values
        if item.key.name == name
        and (item.key.sub_key.class_id.value if item.key.sub_key.HasField("class_id") else None) == class_id
    ]
    assert len(found) == 1, f"{name} of class {class_id} on slice {slice_value!r} was found {len(found)} times"
    return found[0]


def test_metrics_by_class_and_slice_are_those_of_the_confusion_matrix(evaluate):
    uri, _ = evaluate(Gate(min_accuracy=0.5), CANDIDATE_ANSWERS)
    assert metric(uri, "recall", 0) == pytest.approx(4 / 4)
    assert metric(uri, "recall", 1) == pytest.approx(4 / 6)
    assert metric(uri, "precision", 0) == pytest.approx(4 / 6)
    assert metric(uri, "precision", 1) == pytest.approx(4 / 4)
    assert metric(uri, "auc", 1) == pytest.approx(0.5 * (1 + 4 / 6), abs=1e-3)
    assert metric(uri, evaluation.ACCURACY_KEY, slice_value=b"dog") == pytest.approx(4 / 6)
    plots = list(evaluation.tfma.load_plots(uri))
    assert any(
        item.value.HasField("multi_class_confusion_matrix_at_thresholds")
        for plot in plots
        for item in plot.plot_keys_and_values
    )
    assert any(
        item.value.HasField("calibration_histogram_buckets") for plot in plots for item in plot.plot_keys_and_values
    )


def test_more_than_two_classes_are_measured_too(evaluate):
    uri, blessed = evaluate(Gate(min_accuracy=0.5), [2, *CANDIDATE_ANSWERS[1:]], num_classes=3)
    assert blessed == 1
    assert metric(uri, "recall", 0) == pytest.approx(3 / 4)
    assert evaluation.accuracies(uri) == pytest.approx({"candidate": 0.7})
