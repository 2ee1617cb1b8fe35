"""The whole pipeline through the real `tfx` command, on a slice of the digits, run by run as a user would run it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from tfx.orchestration import metadata

from components import publishing
from components.features import IMAGE
from components.trainer import HISTORY_FILE
from settings import PROJECT
from tests.disks import tmpfs

SLICE = {
    "GRAFTLINE_DATA__MAX_EXAMPLES": "500",
    "GRAFTLINE_MODEL__IMAGE_SIZE": "64",
    "GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "8",
    "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "2",
    "GRAFTLINE_GATE__MIN_ACCURACY": "0.3",
}
WORSE = {"GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "1", "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "0"}
NODES = [
    "Baseline", "DataGate", "Evaluator", "ExampleValidator", "ImportSchemaGen",
    "Pusher", "ServingCheck", "StatisticsGen", "TfdsExampleGen", "Trainer", "Transform",
]  # fmt: skip
EXECUTED = sorted(set(NODES) - {"Baseline"})
Tfx = Callable[..., str]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture(scope="module")
def tfx(root) -> Tfx:
    """Runs the `tfx` command, or a program of this project, with settings overridden; returns what it printed."""

    def run(*arguments: str, status: int = 0, program: str = "", **overrides: str) -> str:
        places = {
            "GRAFTLINE_RUN__ROOT": str(root),
            "GRAFTLINE_RUN__SERVING_DIR": str(root / "serving"),
            "LOCAL_HOME": str(root / "tfx"),
        }
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
        command = [sys.executable, program] if program else [str(Path(sys.executable).with_name("tfx"))]
        done = subprocess.run(
            [*command, *arguments],
            env=clean | places | SLICE | overrides,
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout

    return run


@pytest.fixture(scope="module")
def first_run(tfx) -> str:
    tfx("pipeline", "create", "--engine=local", "--pipeline_path=pipeline.py")
    return create_run(tfx)


def create_run(tfx: Tfx, status: int = 0, **overrides: str) -> str:
    return tfx("run", "create", "--engine=local", "--pipeline_name=digits", status=status, **overrides)


def executions(root: Path) -> dict[str, list[int]]:
    """Returns the states of all executions so far by node, oldest first."""
    found: dict[str, list[int]] = {}
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(root / "metadata/digits.sqlite"))) as handle:
        for execution in sorted(handle.store.get_executions(), key=lambda execution: execution.id):
            contexts = handle.store.get_contexts_by_execution(execution.id)
            for node in [context.name for context in contexts if context.type == "node"]:  # a rollback has none
                found.setdefault(node.removeprefix("digits."), []).append(execution.last_known_state)
    return found


def artifacts(root: Path, kind: str) -> list[metadata_store_pb2.Artifact]:
    with metadata.Metadata(metadata.sqlite_metadata_connection_config(str(root / "metadata/digits.sqlite"))) as handle:
        return sorted(handle.store.get_artifacts_by_type(kind), key=lambda artifact: artifact.id)


def pushed_versions(root: Path) -> list[str]:
    return [str(version) for version in publishing.versions(root / "serving/digits")]


def test_the_first_run_trains_blesses_and_pushes_a_model(first_run, root):
    states = executions(root)
    assert sorted(states) == NODES
    assert all(state == [metadata_store_pb2.Execution.COMPLETE] for state in states.values())
    assert len(pushed_versions(root)) == 1
    assert "Blessed." in first_run
    assert f"Pushed to {root}/serving/digits/{pushed_versions(root)[0]}" in first_run
    for node in NODES:
        assert f"✔ {node} done in" in first_run


def test_the_weights_and_their_checksum_are_on_the_model(first_run, root):
    (model,) = artifacts(root, "Model")
    assert model.custom_properties["weights_source"].string_value.startswith("imagenet")
    assert len(model.custom_properties["weights_sha256"].string_value) == 64


def test_the_evaluator_agrees_with_the_trainer_on_the_test_split(first_run, root):
    (run,) = artifacts(root, "ModelRun")
    history = json.loads(Path(run.uri, HISTORY_FILE).read_text())
    assert [len(phase["epochs"]) for phase in history["phases"]] == [8, 2]
    assert f"Test accuracy {history['phases'][-1]['test_accuracy']:.4f}, the threshold is 0.3000" in first_run


def test_the_pushed_model_answers_both_signatures(first_run, root):
    (version,) = pushed_versions(root)
    model = tf.saved_model.load(str(root / "serving/digits" / version))
    (examples,) = artifacts(root, "Examples")
    (shard, *_) = sorted(Path(examples.uri, "Split-test").iterdir())
    records = list(tf.data.TFRecordDataset(str(shard)).take(8).as_numpy_iterator())
    by_example = model.signatures["serving_default"](examples=tf.constant(records))
    images = [tf.train.Example.FromString(record).features.feature[IMAGE].bytes_list.value[0] for record in records]
    by_bytes = model.signatures["serving_bytes"](image_bytes=tf.constant(images))
    assert by_example["probabilities"].shape == (8, 10)
    tf.debugging.assert_near(by_example["probabilities"], by_bytes["probabilities"], atol=1e-6)
    assert set(by_bytes["label_name"].numpy()) <= {str(digit).encode() for digit in range(10)}


def test_a_second_run_is_served_from_cache_and_pushes_nothing_more(first_run, tfx, root):
    before = pushed_versions(root)
    printed = create_run(tfx)
    states = executions(root)
    assert {node: states[node][-1] for node in EXECUTED} == dict.fromkeys(EXECUTED, metadata_store_pb2.Execution.CACHED)
    assert "↺ Trainer served from cache in" in printed
    assert f"Pushed by an earlier run to {root}/serving/digits/{before[0]}" in printed
    assert pushed_versions(root) == before


def test_a_candidate_worse_than_the_baseline_is_neither_blessed_nor_pushed(first_run, tfx, root):
    before = pushed_versions(root)
    printed = create_run(tfx, GRAFTLINE_GATE__MIN_ACCURACY="0", **WORSE)
    assert "below the baseline's, 0.0200 is allowed" in printed
    assert "Not blessed" in printed
    assert "Not pushed" in printed
    assert pushed_versions(root) == before
    assert [blessing.custom_properties["blessed"].int_value for blessing in artifacts(root, "ModelBlessing")] == [1, 0]


def test_a_candidate_below_the_threshold_is_neither_blessed_nor_pushed(first_run, tfx, root):
    before = pushed_versions(root)
    printed = create_run(tfx, GRAFTLINE_GATE__MIN_ACCURACY="0.99", GRAFTLINE_GATE__MAX_ACCURACY_DROP="1", **WORSE)
    assert "is below the threshold of 0.9900" in printed
    assert "baseline's, " not in printed.split("Not blessed")[1]
    assert pushed_versions(root) == before


def test_a_rolled_back_model_is_out_of_production_and_no_baseline(first_run, tfx, root):
    first, directory = pushed_versions(root)[0], root / "serving/digits"
    create_run(tfx, GRAFTLINE_GATE__MIN_ACCURACY="0", GRAFTLINE_GATE__MAX_ACCURACY_DROP="1", **WORSE)
    assert len(pushed_versions(root)) == 2
    printed = tfx("calls threes eights", program="rollback.py")
    third = pushed_versions(root)[-1]
    assert printed.endswith(f"Version {pushed_versions(root)[1]} is withdrawn; in production is {directory / third}.\n")
    good, withdrawn, again = publishing.pushes(directory)
    assert (again.model_id, again.digest, again.why) == (good.model_id, good.digest, "calls threes eights")
    assert str(good.version) == first
    last = artifacts(root, "PushedModel")[-1]
    assert last.custom_properties["model_id"].int_value == good.model_id != withdrawn.model_id
    printed = create_run(tfx, GRAFTLINE_GATE__MIN_ACCURACY="0", GRAFTLINE_GATE__MAX_ACCURACY_DROP="0.03", **WORSE)
    assert "below the baseline's, 0.0300 is allowed" in printed
    assert pushed_versions(root)[-1] == third


def test_a_second_run_at_once_is_refused(first_run, tfx, root):
    with filelock.FileLock(root / "run.lock"):
        printed = create_run(tfx, status=1)
    assert f"Another run is using {root}: wait for it to end" in printed
    assert "Traceback" not in printed


def test_a_full_disk_at_the_push_is_told_and_the_next_run_completes(first_run, tfx, root, tmp_path):
    # Another threshold, for a push that is not served from cache
    changes = {"GRAFTLINE_RUN__SERVING_DIR": str(tmp_path), "GRAFTLINE_GATE__MIN_ACCURACY": "0.31"}
    with tmpfs(tmp_path, "1m"):
        printed = create_run(tfx, status=1, **changes)
        assert f"No space is left on the disk of {tmp_path}" in printed
        assert not publishing.versions(tmp_path / "digits")
        subprocess.run(["mount", "-o", "remount,size=100m", str(tmp_path)], check=True)
        create_run(tfx, **changes)
        (version,) = publishing.versions(tmp_path / "digits")
        assert tf.saved_model.load(str(tmp_path / "digits" / str(version))).signatures
        assert not list((tmp_path / "digits").glob(".*"))


def test_data_that_the_schema_does_not_know_stops_the_run_before_transform(first_run, tfx, root, tmp_path):
    random = np.random.default_rng(0)
    for index in range(60):
        folder = tmp_path / "digits" / ("cat" if index % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    printed = create_run(tfx, status=1, GRAFTLINE_DATA__DATASET=f"folder:{tmp_path / 'digits'}")
    assert "✘ DataGate failed in" in printed
    assert "split train, feature 'label_name': Unexpected string values" in printed
    assert "Mend the data, or review the schema" in printed
    assert "Traceback" not in printed
    assert "▶ Transform" not in printed
    assert executions(root)["DataGate"][-1] == metadata_store_pb2.Execution.FAILED
