"""The compiled pipeline, run container by container with metadata in a real MariaDB: `make test-kubeflow`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from kfp import components, local
from kfp.local import docker_task_handler
from kfp.local.status import Status
from ml_metadata.proto import metadata_store_pb2

import configuration
import store
from components import publishing
from kubeflow import compile as compiled
from settings import PROJECT, Settings
from tests.kubeflow.machines import PASSWORD, USER, Pods, mariadb, podman, quiet
from tests.test_pipeline import SLICE

pytestmark = [
    pytest.mark.kubeflow,
    pytest.mark.filterwarnings("ignore:.*have no effect in the current local runner"),  # memory, names
]

CACHED, COMPLETE = metadata_store_pb2.Execution.CACHED, metadata_store_pb2.Execution.COMPLETE
FAILED = metadata_store_pb2.Execution.FAILED
Run = Callable[..., str]
RESOLVERS = {"Baseline", "BaselineData"}


@pytest.fixture(scope="module")
def volume(tmp_path_factory) -> Path:
    """The shared volume, with the weights' folder of the image and the database's socket beside it."""
    folder = tmp_path_factory.mktemp("cluster")
    for path in [folder, *folder.parents[:2]]:  # pytest's folders are private, and pods are another user
        path.chmod(0o755)
    (folder / "mount").mkdir(mode=0o777)
    (folder / "mount").chmod(0o777)
    return folder / "mount"


@pytest.fixture(scope="module")
def settings(volume) -> Iterator[Settings]:
    """The digits, on a cluster whose database listens on a socket of the volume."""
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
        yield configuration.load()


@pytest.fixture(scope="module")
def pods(volume) -> Pods:
    containers = podman() is not None
    if not containers:
        print("podman is missing, or may not run here: the same commands are run as plain processes.")
    return Pods(volume.parent, volume, containers)


@pytest.fixture(scope="module")
def run(settings, pods, volume) -> Iterator[Run]:
    """Compiles, loads what was compiled from the disk, and runs it in containers; returns the run's id."""
    local.init(
        local.DockerRunner(environment={"GRAFTLINE_METADATA__PASSWORD": PASSWORD}),
        pipeline_root=str(volume.parent / "kfp"),
    )

    def execute(handler: docker_task_handler.DockerTaskHandler) -> Status:
        return Status.FAILURE if pods.run(handler.full_command, handler.env_vars) else Status.SUCCESS

    def start(settings: Settings = settings, **parameters: object) -> str:
        path = compiled.compile_pipeline(settings, volume.parent / "digits.yaml")
        components.load_component_from_file(str(path))(**parameters)
        return pods.last_run()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_task_handler.DockerTaskHandler, "run", execute)
        yield start


def states(settings: Settings, run_id: str) -> dict[str, list[int]]:
    """Returns the states of a run's executions by node."""
    found: dict[str, list[int]] = {}
    with store.opened(compiled.on_cluster(settings)) as opened:
        context = opened.get_context_by_type_and_name("pipeline_run", run_id)
        for execution in opened.get_executions_by_context(context.id):
            (node,) = [c.name for c in opened.get_contexts_by_execution(execution.id) if c.type == "node"]
            found.setdefault(node.removeprefix("digits."), []).append(execution.last_known_state)
    return found


@pytest.fixture(scope="module")
def first_run(run) -> str:
    return run()


def test_every_node_completes_in_a_container_of_its_own_and_the_model_is_pushed(first_run, settings, pods, volume):
    nodes = compiled.upstream_nodes(settings)
    assert states(settings, first_run) == {node: [COMPLETE] for node in nodes}
    assert len(pods.ran) == len(nodes) + 1  # and the report of the end
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


def test_a_second_run_is_served_from_cache_pushes_nothing_and_says_so(first_run, run, settings, volume, capfd):
    again = run()
    assert "digits: Nothing has changed, and nothing was pushed" in capfd.readouterr().out
    found = states(settings, again)
    assert {node for node, state in found.items() if state != [CACHED]} == RESOLVERS
    assert len(publishing.versions(volume / "serving/digits")) == 1


def test_training_can_be_forced(first_run, run, settings):
    found = states(settings, run(force_retrain=True))
    assert (found["Transform"], found["Trainer"]) == ([CACHED], [COMPLETE])


def test_a_killed_pod_is_started_again_and_goes_on_with_its_execution(first_run, run, settings, pods):
    killed: list[str] = []

    def kill_the_first_training(name: str, line: str) -> None:
        if not killed and line.startswith("Phase 1:"):
            killed.append(name)
            pods.kill(name)

    pods.watch, first = kill_the_first_training, len(pods.ran)
    try:
        run_id = run(phase_1_epochs=1, phase_2_epochs=0)
    finally:
        pods.watch = quiet
    assert killed
    assert [status for _, status in pods.ran[first:] if status] == [137 if pods.containers else -signal.SIGKILL]
    assert states(settings, run_id)["Trainer"] == [COMPLETE]
    assert all(len(state) == 1 for state in states(settings, run_id).values())


def test_a_node_that_fails_fails_the_pipeline_and_the_end_is_told(first_run, run, settings, pods, capfd):
    few = settings.model_copy(update={"data": settings.data.model_copy(update={"max_examples": 3})})
    first = len(pods.ran)
    with pytest.raises(RuntimeError, match="tfds-example-gen"):
        run(few)
    assert states(settings, pods.last_run())["TfdsExampleGen"] == [FAILED]
    *tries, (end, status) = pods.ran[first:]
    example_gens = [status for command, status in tries if "TfdsExampleGen" in command]
    assert example_gens == [1] * (settings.cluster.retries + 1)
    assert ("kubeflow.end_run" in end, status) == (True, 0)
    assert "digits: Failed at TfdsExampleGen: nothing was pushed." in capfd.readouterr().out


def test_the_end_is_told_even_where_no_node_could_start(first_run, run, pods, capfd):
    with pytest.raises(RuntimeError, match="finished with status"):
        run(span="7")
    assert "kubeflow.end_run" in pods.ran[-1][0]
    assert "digits: Failed at the start: nothing was pushed." in capfd.readouterr().out
