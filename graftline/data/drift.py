"""How far the data of a run differs from that of another one, by the drift comparators of its schema."""

from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from graftline.artifacts.examples import TRAIN


def train_statistics(artifact: Artifact) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Returns the statistics of the training split."""
    return tfdv.load_stats_binary(str(Path(artifact_utils.get_split_uri([artifact], TRAIN), "FeatureStats.pb")))


def describe(where: str, anomalies: Anomalies) -> list[str]:
    """Returns a line for each anomaly: where, feature, and what is wrong with it."""
    lines = [
        f"{where}, feature {feature!r}: {info.short_description}: {info.description}"
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"{where}: {anomalies.dataset_anomaly_info.description}")
    if anomalies.data_missing:
        lines.append(f"{where}: there are no examples")
    return lines


def drift(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    baseline: statistics_pb2.DatasetFeatureStatisticsList,
    schema: schema_pb2.Schema,
) -> list[str]:
    """Returns a line for each feature that differs from the baseline by more than its drift comparator allows."""
    compared = schema_pb2.Schema()
    compared.CopyFrom(schema)
    for feature in compared.feature:  # ExampleValidator has told everything but drift
        for checked in ("domain_info", "presence_constraints", "shape_type"):
            if present := feature.WhichOneof(checked):
                feature.ClearField(present)
    return describe(
        "against the data of the model in production",
        tfdv.validate_statistics(statistics, compared, previous_statistics=baseline),
    )
