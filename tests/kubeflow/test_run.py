"""Runs the compiled pipeline container by container, with metadata in a real MariaDB: `make test-kubeflow`.

`backend.py`, based on the server's source, does what a server would do with the YAML. The containers and the database
are real.
"""

import csv
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from pydantic import SecretStr

from graftline.artifacts.predictions import TABLE_FILE
from graftline.base.paths import PROJECT
from graftline.network import weights
from graftline.runs import store
from graftline.serving import versions as publishing
from graftline.settings.data import Bulk
from graftline.settings.load import load
from graftline.settings.settings import Settings
from kubeflow import compile as compiled
from tests import tiny
from tests.kubeflow.backend import Pipeline, Run
from tests.kubeflow.machines import PASSWORD, USER, Pods, mariadb, podman, quiet
from tests.test_pipeline import SLICE

# A test runs up to twelve pods, each of which imports TensorFlow
pytestmark = [pytest.mark.kubeflow, pytest.mark.timeout(1800)]

CACHED, COMPLETE = metadata_store_pb2.Execution.CACHED, metadata_store_pb2.Execution.COMPLETE
FAILED = metadata_store_pb2.Execution.FAILED
RESOLVERS = {"BaselineData"}
HIDDEN = {"webhook": "http://127.0.0.1:9/aGlkZGVuLXdlYmhvb2s", "beam_args": '["--s3_secret_access_key=aGlkZGVuLWtleQ"]'}
SECRETS = {"graftline-mysql": {"password": PASSWORD}, "graftline-settings": HIDDEN}


class Start(Protocol):
    """Runs what the settings compile to, and returns the run's id and whether it succeeded."""

    def __call__(self, chosen: Settings | None = None, policy: str = "Always", **parameters: Any) -> tuple[str, bool]:
        """Takes run parameters, and the installation's retry policy."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """The shared volume, next to the weights' folder of the image and the database's socket."""
    folder = tmp_path_factory.mktemp("cluster")
    for path in [folder, *folder.parents[:2]]:  # pytest's folders are private, but pods run as another user
        path.chmod(0o755)
    (folder / "mount").mkdir(mode=0o777)
    (folder / "mount").chmod(0o777)
    return folder / "mount"


@pytest.fixture(scope="module")
def settings(volume) -> Iterator[Settings]:
    """The settings of the digits, on a cluster whose database listens on a socket on the volume."""
    if shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is missing: apt-get install mariadb-server-core")
    folder = volume / "database"
    folder.mkdir()
    with mariadb(folder) as socket, pytest.MonkeyPatch.context() as patch:
        for key, value in SLICE.items():
            patch.setenv(key, value)
        patch.setenv("GRAFTLINE_CLUSTER__IMAGE", "localhost/graftline:this-machine")
        patch.setenv("GRAFTLINE_CLUSTER__MOUNT", str(volume))
        patch.setenv("GRAFTLINE_CLUSTER__RETRY_SECONDS", "1")
        patch.setenv("GRAFTLINE_CLUSTER__MYSQL", json.dumps({"host": "", "socket": str(socket), "password": PASSWORD}))
        patch.setenv("GRAFTLINE_RUN__BEAM_ARGS", HIDDEN["beam_args"])
        loaded = load()
        model = loaded.model
        weights.resolve(model.backbone, model.image_size, model.weights)  # as in the image: pods have no network
        yield loaded


@pytest.fixture(scope="module")
def pods(volume) -> Pods:
    containers = podman() is not None
    if not containers:
        print("podman is missing, or may not run here: the same commands run as plain processes.")
    return Pods(volume.parent, volume, containers)


@pytest.fixture(scope="module")
def run(settings, pods, volume) -> Start:
    """Compiles to a file, and runs that file in containers, as the server would."""
    ids = (f"{number:08x}-44ce-4a93-b8e9-3726414656e2" for number in itertools.count(1))

    compiling = threading.Lock()

    def start(chosen: Settings | None = None, policy: str = "Always", **parameters: Any) -> tuple[str, bool]:
        run_id = next(ids)
        with compiling:  # the SDK can compile only one pipeline at a time
            path = compiled.compile_pipeline(chosen or settings, volume.parent / f"{run_id}.yaml")
        return run_id, Pipeline(path, SECRETS).start(Run(run_id, parameters), pods.run, policy)

    return start


def states(settings: Settings, run_id: str) -> dict[str, list[int]]:
    """Returns the states of a run's executions, by node."""
    found: dict[str, list[int]] = {}
    with store.opened(compiled.on_cluster(settings)) as opened:
        context = opened.get_context_by_type_and_name("pipeline_run", run_id)
        for execution in opened.get_executions_by_context(context.id):
            (node,) = [c.name for c in opened.get_contexts_by_execution(execution.id) if c.type == "node"]
            found.setdefault(node.removeprefix("digits."), []).append(execution.last_known_state)
    return found


@pytest.fixture(scope="module")
def first_run(run, settings) -> str:
    cluster = settings.cluster.model_copy(update={"webhook": SecretStr(HIDDEN["webhook"])})
    run_id, succeeded = run(settings.model_copy(update={"cluster": cluster}))
    assert succeeded
    return run_id


def test_every_node_completes_in_the_container_of_its_stage_and_the_model_is_pushed(first_run, settings, pods, volume):
    assert states(settings, first_run) == {node: [COMPLETE] for node in compiled.upstream_nodes(settings)}
    assert [pod.task for pod, _ in pods.ran] == ["prepare", "train", "release", "end-run"]
    assert len(publishing.versions(volume / "serving/digits")) == 1
    if pods.containers:
        assert {path.stat().st_uid for path in (volume / "pipelines").rglob("*")} == {USER}


def test_the_model_of_the_containers_is_that_of_a_local_run(first_run, settings, volume, tmp_path):
    places = {"GRAFTLINE_RUN__ROOT": str(tmp_path), "GRAFTLINE_RUN__SERVING_DIR": str(tmp_path / "serving")}
    subprocess.run([sys.executable, "pipeline.py"], cwd=PROJECT, env=os.environ | places, check=True)
    (examples,) = (tmp_path / "pipelines/digits/TfdsExampleGen/examples").iterdir()
    records = tf.data.TFRecordDataset([str(path) for path in (examples / "Split-test").iterdir()])
    serialized = tf.constant(list(records.as_numpy_iterator()))
    answers = [_probabilities(folder / "serving/digits", serialized) for folder in (volume, tmp_path)]
    np.testing.assert_allclose(*answers, rtol=0, atol=1e-5)


def _probabilities(directory: Path, serialized: tf.Tensor) -> np.ndarray:
    (version,) = publishing.versions(directory)
    model = tf.saved_model.load(str(directory / str(version)))
    return model.signatures["serving_default"](examples=serialized)["probabilities"].numpy()


def test_a_second_run_is_served_from_cache_pushes_nothing_and_says_so(first_run, run, settings, pods, volume, capfd):
    first = len(pods.ran)
    again, succeeded = run()
    assert succeeded and again != first_run
    assert [pod.task for pod, _ in pods.ran[first:]] == ["prepare", "end-run"]
    assert "digits: Nothing has changed, and nothing was pushed" in capfd.readouterr().out
    found = states(settings, again)
    assert {node for node, state in found.items() if state != [CACHED]} == RESOLVERS
    assert len(publishing.versions(volume / "serving/digits")) == 1


def test_photos_without_labels_are_classified_in_a_pod(first_run, run, settings, pods, volume):
    folder = volume / "new photos"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(tiny.photo(number))
    first = len(pods.ran)
    run_id, succeeded = run(settings.model_copy(update={"bulk": Bulk(folder=folder)}))
    assert succeeded
    assert [pod.task for pod, _ in pods.ran[first:]] == ["prepare", "end-run"]
    found = states(settings, run_id)
    assert {found[node][0] for node in ("UnlabelledExampleGen", "BulkInferrer", "PredictionsToTable")} == {COMPLETE}
    (table,) = volume.rglob(TABLE_FILE)
    rows = csv.DictReader(table.read_text().splitlines())
    assert sorted(row["path"] for row in rows) == ["0.jpg", "1.jpg", "2.jpg"]


def test_training_can_be_forced(first_run, run, settings):
    run_id, _ = run(force_retrain=True)
    found = states(settings, run_id)
    assert (found["Transform"], found["Trainer"]) == ([CACHED], [COMPLETE])


def test_a_second_run_under_another_threshold_is_evaluated_and_refused_without_a_pod_that_trains(
    first_run, run, settings, pods, volume, capfd
):
    versions, first = publishing.versions(volume / "serving/digits"), len(pods.ran)
    again, succeeded = run(min_accuracy=0.999)
    assert [pod.task for pod, _ in pods.ran[first:]] == ["prepare", "end-run"]
    assert succeeded
    told = capfd.readouterr().out
    assert re.search(r"digits: Not pushed", told)
    (end,) = [json.loads(line) for line in told.splitlines() if '"ended"' in line]
    assert end["run"] == again
    assert "but must be at" in " ".join(end["not_blessed_because"])
    found = states(settings, again)
    assert (found["Trainer"], found["Evaluator"], found["Pusher"]) == ([CACHED], [COMPLETE], [COMPLETE])
    assert publishing.versions(volume / "serving/digits") == versions


def test_no_file_of_a_run_holds_what_may_be_secret(first_run, volume):
    hidden = [value.encode() for value in ("aGlkZGVuLXdlYmhvb2s", "aGlkZGVuLWtleQ")]
    files = [volume.parent / f"{first_run}.yaml", *(path for path in volume.rglob("*") if path.is_file())]
    assert any(path.name == "report.html" for path in files) and any(path.suffix == ".ibd" for path in files)
    assert not [path for path in files for value in hidden if value in path.read_bytes()]


def killing(pods: Pods, at: str) -> Callable[[str, str], None]:
    """Returns a watcher that kills the first container that prints `at`, once."""

    def kill(name: str, line: str) -> None:
        if at in line:
            pods.watch = quiet
            pods.kill(name)

    return kill


@pytest.mark.parametrize(
    "at",
    ['"Transform", "event": "started"', "Phase 1:", '"Evaluator", "event": "started"', '"Pusher", "event": "started"'],
)
def test_a_killed_pod_is_started_again_and_goes_on_with_its_execution(at, first_run, run, settings, pods):
    pods.watch, first = killing(pods, at), len(pods.ran)
    # The first one uses new images; the others repeat the training on the images of the first run
    another = changed(settings, len(pods.ran)) if "Transform" in at else retrained(settings, len(pods.ran))
    run_id, succeeded = run(another, policy="OnError", phase_1_epochs=1, phase_2_epochs=0)
    assert succeeded
    assert [status for pod, status in pods.ran[first:] if status] == [137 if pods.containers else -signal.SIGKILL]
    found = states(settings, run_id)
    assert set(found) == set(compiled.upstream_nodes(settings))
    once = {node: state for node, state in found.items() if node not in RESOLVERS}
    assert all(state in ([COMPLETE], [CACHED]) for state in once.values()), once
    assert once["Trainer"] == once["Pusher"] == [COMPLETE]


def changed(settings: Settings, seed: int) -> Settings:
    """Returns settings under which everything is computed again."""
    data = settings.data.model_copy(update={"max_examples": 300 + seed})
    return retrained(settings.model_copy(update={"data": data}), seed)


def retrained(settings: Settings, seed: int) -> Settings:
    """Returns settings under which the Trainer and everything after it run again, and any model is good enough."""
    gate = settings.gate.model_copy(update={"min_accuracy": 0.0, "max_accuracy_drop": 1.0})
    training = settings.training.model_copy(update={"seed": seed})
    return settings.model_copy(update={"gate": gate, "training": training})


def test_two_runs_at_once_wait_for_each_other_and_both_end_well(first_run, run, settings, pods, volume):
    other = changed(settings, 100)
    with ThreadPoolExecutor(2) as threads:
        started = [threads.submit(run, other, phase_1_epochs=1, phase_2_epochs=0) for _ in range(2)]
    ended = [future.result() for future in started]
    assert [succeeded for _, succeeded in ended] == [True, True]
    found = [states(settings, run_id)["Trainer"] for run_id, _ in ended]
    assert COMPLETE in itertools.chain(*found)


def test_each_component_can_have_a_pod_of_its_own(first_run, run, settings, pods):
    run()  # with the last trained model, whose card was made under other parameters
    cluster = settings.cluster.model_copy(update={"pods": "component"})
    first = len(pods.ran)
    run_id, succeeded = run(settings.model_copy(update={"cluster": cluster}))
    assert succeeded
    assert {pod.task for pod, _ in pods.ran[first:]} == {
        *map(compiled.legal_name, compiled.upstream_nodes(settings)),
        "end-run",
    }
    assert {node for node, state in states(settings, run_id).items() if state != [CACHED]} == RESOLVERS


@pytest.mark.parametrize(("policy", "tries"), [("OnError", 1), ("Always", 3)])
def test_a_node_that_fails_fails_the_pipeline_and_the_end_is_told(policy, tries, first_run, run, settings, pods, capfd):
    few = settings.model_copy(update={"data": settings.data.model_copy(update={"max_examples": 3})})
    first = len(pods.ran)
    run_id, succeeded = run(few, policy)
    assert not succeeded
    assert set(states(settings, run_id)["TfdsExampleGen"]) == {FAILED}
    *before, (end, status) = pods.ran[first:]
    assert [status for pod, status in before if pod.task == "prepare"] == [1] * tries
    assert (end.task, status) == ("end-run", 0)
    assert "digits: Failed at TfdsExampleGen: nothing was pushed." in capfd.readouterr().out


def test_the_end_is_told_even_where_no_node_could_start(first_run, run, pods, capfd):
    _, succeeded = run(span="7")
    assert not succeeded
    assert pods.ran[-1][0].task == "end-run"
    assert "digits: Failed at the start: nothing was pushed." in capfd.readouterr().out
