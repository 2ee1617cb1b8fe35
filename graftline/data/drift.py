"""How far the data of a run differs from that of another run, by the drift comparators of its schema.

Sizes and the class mix change with every camera and every class that grows, so a difference is only unusual. Only lost
images speak against data: their effect on the class mix is checked against the drift comparator of the class names.
"""

from pathlib import Path

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tensorflow_metadata.proto.v0.anomalies_pb2 import Anomalies
from tfx.types import artifact_utils
from tfx.types.artifact import Artifact

from graftline.artifacts.examples import LABEL_NAME, TRAIN


def train_statistics(artifact: Artifact) -> statistics_pb2.DatasetFeatureStatisticsList:
    """Returns the statistics of the training split."""
    return tfdv.load_stats_binary(str(Path(artifact_utils.get_split_uri([artifact], TRAIN), "FeatureStats.pb")))


def describe(where: str, anomalies: Anomalies) -> list[str]:
    """Returns a line for each anomaly: where it is, the feature, and what is wrong with it."""
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
    for feature in compared.feature:  # ExampleValidator has reported everything except drift
        for checked in ("domain_info", "presence_constraints", "shape_type"):
            if present := feature.WhichOneof(checked):
                feature.ClearField(present)
    return describe(
        "compared with the data of the model in production",
        tfdv.validate_statistics(statistics, compared, previous_statistics=baseline),
    )


def class_counts(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> dict[str, int]:
    """Returns the number of images of each class."""
    columns = [feature for feature in statistics.datasets[0].features if list(feature.path.step) == [LABEL_NAME]]
    buckets = [bucket for column in columns for bucket in column.string_stats.rank_histogram.buckets]
    return {bucket.label: round(bucket.sample_count) for bucket in buckets}


def lost_classes(counts: dict[str, int], before: dict[str, int], allowed: float) -> list[str]:
    """Returns a line for each class whose share of the images has changed because classes lost images.

    Gained images and new classes do not count: neither a class that grows nor fewer images in the same mix matter here.

    Args:
      counts: images by class.
      before: images by class of the model in production.
      allowed: how much the share of a class may change; 0 for no limit.
    """
    left = {name: min(counts.get(name, 0), count) for name, count in before.items()}
    total, total_before = sum(left.values()), sum(before.values())
    if not allowed or not total:
        return []
    return [
        f"{counts.get(name, 0):,} training images of class {name!r}, {count:,} in the data of the model in production: not "
        f"counting gained images, its share is {left[name] / total:.0%} instead of {count / total_before:.0%}; it may "
        f"change by {allowed:.0%} (`drift_comparator` of {LABEL_NAME} in the schema)"
        for name, count in sorted(before.items())
        if abs(left[name] / total - count / total_before) > allowed
    ]
