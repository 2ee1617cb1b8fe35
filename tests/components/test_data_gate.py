"""DataGate: real anomalies of real statistics stop the run, each named with its feature."""

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tfx.types import standard_artifacts
from tfx.utils import json_utils

from components.data_gate import DataGate
from components.schema import num_classes
from settings import PROJECT, UserError

SCHEMA = PROJECT / "schemas" / "cats_vs_dogs.pbtxt"


def statistics(**columns):
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns), n_jobs=1)


def good_columns() -> dict:
    return {
        "image": [b"1", b"2"],
        "image_id": [b"a", b"b"],
        "label": [0, 1],
        "label_name": ["cat", "dog"],
    }


@pytest.fixture
def gate(tmp_path):
    """Validates columns of examples against the schema of cats_vs_dogs and runs DataGate on the anomalies."""

    def run(**columns) -> None:
        anomalies = tfdv.validate_statistics(statistics(**columns), tfdv.load_schema_text(str(SCHEMA)))
        (tmp_path / "Split-train").mkdir()
        (tmp_path / "Split-train" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
        artifact = standard_artifacts.ExampleAnomalies()
        artifact.uri, artifact.split_names = str(tmp_path), json_utils.dumps(["train"])
        DataGate.EXECUTOR_SPEC.executor_class().Do({"anomalies": [artifact]}, {}, {})

    return run


def test_data_as_the_schema_says_passes(gate):
    gate(**good_columns())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label": [0, 7]}, "feature 'label'.*"),
        ({"label_name": ["cat", "wolf"]}, "feature 'label_name'.*wolf"),
        ({"image": [b"1", None]}, "feature 'image'"),
    ],
)
def test_anomalies_stop_the_run_and_are_named_with_split_and_feature(gate, change, told):
    with pytest.raises(UserError, match=f"split train, {told}"):
        gate(**good_columns() | change)


def test_a_missing_feature_stops_the_run(gate):
    columns = good_columns()
    del columns["label"]
    with pytest.raises(UserError, match=r"feature 'label'.*: Column is completely missing"):
        gate(**columns)


def test_the_schema_tells_the_number_of_classes():
    assert num_classes(SCHEMA) == 2
    assert num_classes(PROJECT / "schemas" / "digits.pbtxt") == 10
