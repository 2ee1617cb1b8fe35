"""What the Evaluator measures, and what it demands."""

from tensorflow_model_analysis.proto import config_pb2

from graftline.artifacts.evaluation import PROBABILITIES, ROUNDING
from graftline.artifacts.examples import LABEL, LABEL_NAME
from graftline.settings.gate import Gate

ACCURACY = "SparseCategoricalAccuracy"


def eval_config(gate: Gate, num_classes: int) -> config_pb2.EvalConfig:
    """Returns metrics, slices and thresholds for models exported by `graftline.serving.export`.

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
            config_pb2.ModelSpec(signature_name="serving_default", label_key=LABEL, prediction_key=PROBABILITIES)
        ],
        metrics_specs=specs,
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[LABEL_NAME])],
    )


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
