"""DataGate: anomalies in real statistics, lost classes and copies stop the run, and the message names each."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tensorflow_data_validation as tfdv
from tfx.types import Artifact, standard_artifacts
from tfx.utils import json_utils

from components.data_gate.component import DataGate
from graftline.artifacts import data_review
from graftline.artifacts.data_review import REVIEW_FILE, Acceptance, DataReview, Review
from graftline.artifacts.duplicates import REPORT_FILE, DuplicatesReport, Report
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.settings import data

SCHEMA = PROJECT / "schemas" / "cats_vs_dogs.pbtxt"
SOUND = Report(images=100, held_out=20)


def statistics(**columns):
    return tfdv.generate_statistics_from_dataframe(pd.DataFrame(columns), n_jobs=1)


def good_columns(cats: int = 50, size: int = 400) -> dict:
    """Returns columns of 100 images of two classes, with sizes that start at `size`."""
    labels = [0] * cats + [1] * (100 - cats)
    return {
        "image": [b"%d" % number for number in range(100)],
        "image_id": [b"%d.jpg" % number for number in range(100)],
        "label": labels,
        "label_name": ["dog" if label else "cat" for label in labels],
        "width": [size + number for number in range(100)],
        "height": [size + 2 * number for number in range(100)],
    }


def put(artifact: Artifact, folder: Path, name: str, content: bytes) -> Artifact:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    artifact.uri = str(folder).removesuffix("/Split-train")
    return artifact


def split_artifact(kind: type[Artifact], folder: Path, name: str, content: bytes) -> Artifact:
    artifact = put(kind(), folder / "Split-train", name, content)
    artifact.split_names = json_utils.dumps(["train"])
    return artifact


@pytest.fixture
def gate(tmp_path):
    """Validates columns of examples against the schema of cats_vs_dogs, as ExampleValidator does, and runs DataGate."""

    def run(columns: dict, before: dict | None = None, report: Report = SOUND, **limits: Any) -> Review:
        counted = statistics(**columns)
        anomalies = tfdv.validate_statistics(counted, tfdv.load_schema_text(str(SCHEMA)))
        inputs = {
            "anomalies": split_artifact(
                standard_artifacts.ExampleAnomalies, tmp_path / "a", "SchemaDiff.pb", anomalies.SerializeToString()
            ),
            "statistics": split_artifact(
                standard_artifacts.ExampleStatistics, tmp_path / "s", "FeatureStats.pb", counted.SerializeToString()
            ),
            "schema": put(standard_artifacts.Schema(), tmp_path / "c", "schema.pbtxt", SCHEMA.read_bytes()),
            "report": put(DuplicatesReport(), tmp_path / "d", REPORT_FILE, json.dumps(asdict(report)).encode()),
        }
        if before:
            inputs["baseline"] = split_artifact(
                standard_artifacts.ExampleStatistics,
                tmp_path / "b",
                "FeatureStats.pb",
                statistics(**before).SerializeToString(),
            )
        accepted = tmp_path / "accepted.jsonl"
        properties = {
            "limits": data.DataGate(**limits).model_dump_json(),
            "accepted": str(accepted),
            "schema_file": str(SCHEMA),
        }
        artifacts = {name: [artifact] for name, artifact in inputs.items()} | ({} if before else {"baseline": []})
        review = put(DataReview(), tmp_path / "r", REVIEW_FILE, b"")
        DataGate.EXECUTOR_SPEC.executor_class().Do(artifacts, {"review": [review]}, properties)
        return data_review.read(review.uri)

    return run


def test_data_as_the_schema_says_passes(gate):
    gate(good_columns())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"label": [0] * 99 + [7]}, "feature 'label'.*"),
        ({"label_name": ["cat"] * 50 + ["dog"] * 49 + ["wolf"]}, "feature 'label_name'.*wolf"),
        ({"image": [b"1"] * 99 + [None]}, "feature 'image'"),
    ],
)
def test_anomalies_stop_the_run_and_are_named_with_split_and_feature(gate, change, told):
    with pytest.raises(UserError, match=f"split train, {told}") as refused:
        gate(good_columns() | change)
    assert f"If it is right, change the schema {SCHEMA}, or data_gate" in str(refused.value)


def test_a_missing_feature_stops_the_run(gate):
    columns = good_columns()
    del columns["label"]
    with pytest.raises(UserError, match=r"feature 'label'.*: Column is completely missing"):
        gate(columns)


def test_a_class_without_images_stops_the_run(gate):
    with pytest.raises(UserError, match="split train: no image has class dog, which is in the schema"):
        gate(good_columns(cats=100))


def test_the_data_of_the_model_in_production_again_is_no_drift(gate):
    gate(good_columns(), before=good_columns())


def test_a_little_more_of_a_class_is_not_unusual(gate):
    assert gate(good_columns(cats=55, size=410), before=good_columns()) == Review()


def test_a_class_that_lost_images_to_another_stops_the_run(gate):
    with pytest.raises(UserError, match=r"20 training images of class 'dog', 50 in .* its share is 29% instead of 50%"):
        gate(good_columns(cats=80), before=good_columns())


def test_a_class_that_grew_is_unusual_and_stops_no_run(gate):
    review = gate(good_columns(cats=50), before=all_of(good_columns(), [*range(0, 50, 3), *range(50, 100)]))
    assert [line.partition(": ")[0] for line in review.unusual] == [
        "compared with the data of the model in production, feature 'label_name'"
    ]
    assert (review.faults, review.acceptance) == ([], None)


def all_of(columns: dict, rows: Iterable[int]) -> dict:
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def test_other_sizes_after_a_change_of_camera_are_unusual_and_stop_no_run(gate, capsys):
    review = gate(good_columns(size=20), before=good_columns())
    first, second = review.unusual
    assert "in production, feature 'height': High approximate Jensen-Shannon" in first
    assert "'width'" in second
    assert "Unusual compared with the data of the model in production, feature 'height'" in capsys.readouterr().out


def test_what_the_schema_forbids_is_told_once(gate):
    with pytest.raises(UserError) as raised:
        gate(good_columns() | {"label_name": ["cat"] * 50 + ["wolf"] * 50}, before=good_columns())
    assert str(raised.value).count("Unexpected string values") == 1


def test_a_person_accepts_exactly_this_data(gate, tmp_path):
    refused = pytest.raises(UserError, match=r'or accept exactly this data: `graftline accept-data --reason "…"`\.$')
    with refused:
        gate(good_columns(cats=80), before=good_columns())
    given = Acceptance(data_review.identity(str(tmp_path / "s")), "me", "2026-11-27", "dogs are rare now")
    data_review.accept(tmp_path / "accepted.jsonl", given)
    review = gate(good_columns(cats=80), before=good_columns())
    assert review.acceptance == given
    assert [fault.partition(",")[0] for fault in review.faults] == [
        "80 training images of class 'cat'",
        "20 training images of class 'dog'",
    ]
    with refused:
        gate(good_columns(cats=81), before=good_columns())


def test_what_the_schema_forbids_cannot_be_accepted(gate, tmp_path):
    forbidden = good_columns() | {"label_name": ["cat"] * 50 + ["wolf"] * 50}
    for _ in range(2):
        with pytest.raises(UserError, match=r"or data_gate in the configuration\.$"):
            gate(forbidden)
        given = Acceptance(data_review.identity(str(tmp_path / "s")), "me", "2026-11-27", "wolves are dogs")
        data_review.accept(tmp_path / "accepted.jsonl", given)


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (
            Report(100, contradictions=[{"a": "cat", "b": "dog"}]),
            r"1 of 100 .* several labels, .*max_contradictions = 0.001 allows: 'a' is cat, 'b' is dog",
        ),
        (Report(100, copies=21, copied=[["a", "b"]]), r"21 of 100 .*max_duplicates = 0.2 allows: 'a', 'b'"),
        (
            Report(100, held_out=20, leaked=2, alike=[{"test": "a", "train": "b"}] * 4),
            r"2 of 20 .*max_near_duplicates = 0.05 allows: 'a' in test and 'b' in train; .*; …",
        ),
    ],
    ids=["contradictions", "copies", "leaks"],
)
def test_too_many_copies_stop_the_run(gate, report, told):
    with pytest.raises(UserError, match=told):
        gate(good_columns(), report=report)


def test_the_limits_of_copies_are_the_users(gate):
    report = Report(100, copies=40, contradictions=[{"a": "cat", "b": "dog"}], held_out=20, leaked=20)
    gate(good_columns(), report=report, max_duplicates=0.4, max_contradictions=0.01, max_near_duplicates=1)
