"""Infers the schema of a dataset, for review."""

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from graftline.artifacts.examples import HEIGHT, IMAGE, IMAGE_ID, LABEL, LABEL_NAME, WIDTH

LABEL_DRIFT = 0.1  # how much the share of any class may change from one model to the next
SIZE_DRIFT = 0.3  # Jensen-Shannon divergence of widths and heights; 1 if none is as before


def statistics_options() -> tfdv.StatsOptions:
    """Returns the options of StatisticsGen: image bytes are not words, so they are not counted by frequency."""
    image = schema_pb2.Feature(name=IMAGE, type=schema_pb2.BYTES, image_domain=schema_pb2.ImageDomain())
    domain = schema_pb2.IntDomain(is_categorical=True)
    label = schema_pb2.Feature(name=LABEL, type=schema_pb2.INT, int_domain=domain)
    return tfdv.StatsOptions(schema=schema_pb2.Schema(feature=[image, label]))


def infer(statistics: statistics_pb2.DatasetFeatureStatisticsList, label_names: list[str]) -> schema_pb2.Schema:
    """Infers a schema from statistics: strict about the classes, loose about values that may vary.

    Args:
      statistics: those of the training split.
      label_names: class names in the order of their labels.

    Returns:
      A schema to review and then keep in schemas/.
    """
    schema = tfdv.infer_schema(statistics, infer_feature_shape=True)
    del schema.string_domain[:]
    for name in (IMAGE, IMAGE_ID, LABEL_NAME):
        feature = tfdv.get_feature(schema, name)
        feature.ClearField("domain_info")
        feature.type = schema_pb2.BYTES
    tfdv.get_feature(schema, LABEL_NAME).string_domain.value.extend(label_names)
    domain = schema_pb2.IntDomain(name=LABEL, min=0, max=len(label_names) - 1, is_categorical=True)
    tfdv.get_feature(schema, LABEL).int_domain.CopyFrom(domain)
    tfdv.get_feature(schema, LABEL_NAME).drift_comparator.infinity_norm.threshold = LABEL_DRIFT
    for name in (WIDTH, HEIGHT):
        tfdv.get_feature(schema, name).drift_comparator.jensen_shannon_divergence.threshold = SIZE_DRIFT
    return schema
