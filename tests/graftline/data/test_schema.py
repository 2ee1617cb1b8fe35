"""The inferred schema: strict about classes, loose about values that may vary."""

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv

from graftline.artifacts.examples import HEIGHT, IMAGE, IMAGE_ID, LABEL, LABEL_NAME, WIDTH
from graftline.base.paths import PROJECT
from graftline.data import schema


def statistics(**changes):
    columns = {
        IMAGE: [b"1", b"2", b"3"],
        IMAGE_ID: ["a", "b", "c"],
        LABEL: [0, 1, 1],
        LABEL_NAME: ["cat", "dog", "dog"],
        WIDTH: [500, 320, 499],
        HEIGHT: [375, 240, 333],
    }
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns | changes), n_jobs=1)


def test_it_is_the_reviewed_one_where_nothing_was_changed():
    inferred = schema.infer(statistics(), ["cat", "dog"])
    assert inferred == tfdv.load_schema_text(str(PROJECT / "schemas" / "cats_vs_dogs.pbtxt"))


@pytest.mark.parametrize(
    ("changes", "anomalous"),
    [
        ({}, set()),
        ({IMAGE: [b"4", b"5", b"6"], IMAGE_ID: ["d", "e", "f"]}, set()),
        ({WIDTH: [8, 8, 8000]}, set()),
        ({LABEL: [0, 1, 2]}, {LABEL}),
        ({LABEL_NAME: ["cat", "dog", "wolf"]}, {LABEL_NAME}),
    ],
    ids=["the same data", "other images", "other sizes", "a label out of range", "an unknown class"],
)
def test_only_classes_are_fixed(changes, anomalous):
    inferred = schema.infer(statistics(), ["cat", "dog"])
    found = tfdv.validate_statistics(statistics(**changes), inferred)
    assert set(found.anomaly_info) == anomalous


def test_images_are_not_counted_as_words():
    counted = tfdv.generate_statistics_from_dataframe(
        pd.DataFrame({IMAGE: [b"1", b"2"], LABEL_NAME: ["cat", "dog"]}), schema.statistics_options(), n_jobs=1
    )
    by_name = {feature.path.step[0]: feature for feature in counted.datasets[0].features}
    assert not by_name[IMAGE].HasField("string_stats")
    assert by_name[IMAGE].bytes_stats.common_stats.num_non_missing == 2
    assert by_name[LABEL_NAME].string_stats.unique == 2
