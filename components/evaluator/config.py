"""What TFMA measures; `rules` decides what is demanded."""

import json

from tensorflow_model_analysis.proto import config_pb2

from graftline.artifacts.evaluation import PROBABILITIES
from graftline.artifacts.examples import LABEL
from graftline.artifacts.metrics import OVERALL

CONFUSION = "MultiClassConfusionMatrixPlot"  # the report checks its own counts against TFMA's


def eval_config() -> config_pb2.EvalConfig:
    """Returns metrics for models exported by `graftline.serving.export`.

    No metric is about a single class: TFMA would take time for each class in a batch, a minute for 1,000 classes
    (`benchmarks/classes.py`), and it reports a recall of 1 for a class that is never predicted. Such numbers follow from
    the answers, see `evaluation.class_scores`.
    """
    metrics = [
        config_pb2.MetricConfig(
            class_name=metric.class_name, config=json.dumps({"name": metric.key} | metric.arguments)
        )
        for metric in OVERALL
    ]
    return config_pb2.EvalConfig(
        model_specs=[
            config_pb2.ModelSpec(signature_name="serving_default", label_key=LABEL, prediction_key=PROBABILITIES)
        ],
        metrics_specs=[config_pb2.MetricsSpec(metrics=[*metrics, config_pb2.MetricConfig(class_name=CONFUSION)])],
        slicing_specs=[config_pb2.SlicingSpec()],
    )
