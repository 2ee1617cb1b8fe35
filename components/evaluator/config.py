"""What TFMA is asked to measure; what is demanded of it is decided in `rules`."""

import json

from tensorflow_model_analysis.proto import config_pb2

from graftline.artifacts import metrics
from graftline.artifacts.evaluation import PROBABILITIES
from graftline.artifacts.examples import LABEL, LABEL_NAME
from graftline.artifacts.metrics import Metric


def eval_config(num_classes: int) -> config_pb2.EvalConfig:
    """Returns metrics and slices for models exported by `graftline.serving.export`.

    Args:
      num_classes: number of classes, two or more.
    """
    each, second = range(num_classes), [1]
    of_probabilities = second if num_classes == 2 else each
    specs = [
        _spec(metrics.OVERALL, "MultiClassConfusionMatrixPlot"),
        _spec(metrics.EACH_CLASS, classes=each),
        _spec(metrics.OF_PROBABILITIES, "CalibrationPlot", classes=of_probabilities),
    ]
    if num_classes == 2:
        specs.append(_spec(metrics.OF_TWO, classes=second))
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(signature_name="serving_default", label_key=LABEL, prediction_key=PROBABILITIES)
        ],
        metrics_specs=specs,
        slicing_specs=[config_pb2.SlicingSpec(), config_pb2.SlicingSpec(feature_keys=[LABEL_NAME])],
    )


def _spec(measured: list[Metric], *plots: str, classes: range | list[int] | None = None) -> config_pb2.MetricsSpec:
    """Returns metrics and plots of all classes together, or of each of some against all others."""
    spec = config_pb2.MetricsSpec(
        metrics=[
            config_pb2.MetricConfig(
                class_name=metric.class_name, config=json.dumps({"name": metric.key} | metric.arguments)
            )
            for metric in measured
        ]
        + [config_pb2.MetricConfig(class_name=plot) for plot in plots]
    )
    if classes is not None:
        spec.binarize.class_ids.values.extend(classes)
    return spec
