"""What the Evaluator measures, what it demands, and its verdict in words."""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2

from components.features import LABEL, LABEL_NAME
from settings import Gate

ACCURACY = "SparseCategoricalAccuracy"
ACCURACY_KEY = "sparse_categorical_accuracy"  # as TFMA names it in its results
BATCH = 64  # pictures that a model answers at once
ROUNDING = 1e-9  # keeps an equal model from failing a change threshold of zero


def eval_config(gate: Gate, num_classes: int) -> config_pb2.EvalConfig:
    """Returns metrics, slices and thresholds for models exported by `components.serving`.

    Args:
      gate: the thresholds.
      num_classes: number of classes, two or more.
    """
    overall = [
        _metric(ACCURACY, threshold=_accuracy_threshold(gate)),
        _metric("SparseCategoricalCrossentropy"),
        _metric("ExampleCount"),
        _metric("MultiClassConfusionMatrixPlot"),
    ]
    each_class = [_metric("Precision", '"top_k": 1'), _metric("Recall", '"top_k": 1')]
    specs = [
        config_pb2.MetricsSpec(metrics=overall),
        config_pb2.MetricsSpec(metrics=each_class, binarize=_classes(range(num_classes))),
        config_pb2.MetricsSpec(
            metrics=[_metric("Calibration"), _metric("CalibrationPlot")],
            binarize=_classes([1] if num_classes == 2 else range(num_classes)),
        ),
    ]
    if num_classes == 2:
        specs.append(config_pb2.MetricsSpec(metrics=[_metric("AUC")], binarize=_classes([1])))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(signature_name="serving_default", label_key=LABEL, prediction_key="probabilities")
        ],
        metrics_specs=specs,
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[LABEL_NAME])],
    )


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Returns TFMA's extractors behind one that cuts batches: they grow to 1,000 pictures, which take gigabytes.

    TFX's Evaluator finds it by this name; the arguments are its own, for TFMA.
    """
    usual = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    return [tfma.extractors.Extractor("CutBatches", beam.FlatMap(_cut)), *usual]


def _cut(extracts: tfma.types.Extracts) -> Iterator[tfma.types.Extracts]:
    records = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    for start in range(0, records.num_rows, BATCH):
        yield {**extracts, tfma.ARROW_RECORD_BATCH_KEY: records.slice(start, BATCH)}


def _metric(
    name: str, config: str = "", threshold: config_pb2.MetricThreshold | None = None
) -> config_pb2.MetricConfig:
    # A plain `threshold` would hold for every slice; what is demanded is overall accuracy, the slice without keys
    demands = [{"slicing_specs": [config_pb2.SlicingSpec()], "threshold": threshold}] if threshold else []
    settings = f"{{{config}}}" if config else ""
    return config_pb2.MetricConfig(class_name=name, config=settings, per_slice_thresholds=demands)


def _classes(labels: range | list[int]) -> config_pb2.BinarizationOptions:
    return config_pb2.BinarizationOptions(class_ids={"values": list(labels)})


def _accuracy_threshold(gate: Gate) -> config_pb2.MetricThreshold:
    return config_pb2.MetricThreshold(
        value_threshold=config_pb2.GenericValueThreshold(lower_bound={"value": gate.min_accuracy}),
        change_threshold=config_pb2.GenericChangeThreshold(
            direction=config_pb2.MetricDirection.HIGHER_IS_BETTER,
            absolute={"value": -gate.max_accuracy_drop - ROUNDING},
        ),
    )


def verdict(evaluation_uri: str) -> list[str]:
    """Says what of the thresholds a candidate did not meet.

    Args:
      evaluation_uri: output folder of the Evaluator.

    Returns:
      A sentence for each failure; none where the candidate was blessed.
    """
    result = tfma.load_validation_result(evaluation_uri)
    reasons = [
        _failure(failure) for validations in result.metric_validations_per_slice for failure in validations.failures
    ]
    if result.missing_thresholds:
        reasons.append("no threshold is set")
    return reasons


def _failure(failure: validation_result_pb2.ValidationFailure) -> str:
    value = failure.metric_value.double_value.value
    if failure.metric_key.is_diff:
        allowed = -failure.metric_threshold.change_threshold.absolute.value
        return f"accuracy is {-value:.4f} below the baseline's, {max(allowed - ROUNDING, 0):.4f} is allowed"
    bound = failure.metric_threshold.value_threshold.lower_bound.value
    return f"accuracy {value:.4f} is below the threshold of {bound:.4f}"


def accuracies(evaluation_uri: str) -> dict[str, float]:
    """Returns the overall accuracy of the candidate and, under `baseline`, of the baseline where there was one."""
    found = {}
    for metrics in tfma.load_metrics(evaluation_uri):
        if metrics.slice_key.single_slice_keys:
            continue
        for item in metrics.metric_keys_and_values:
            if item.key.name == ACCURACY_KEY and not item.key.is_diff:
                name = "baseline" if item.key.model_name == tfma.BASELINE_KEY else "candidate"
                found[name] = item.value.double_value.value
    return found
