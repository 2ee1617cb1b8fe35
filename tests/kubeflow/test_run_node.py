"""Runs one node in its own process, as a pod does."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2

from graftline.runs import store
from graftline.settings.load import CONFIG_VARIABLE, load
from tests import warm

COMPLETE, FAILED = metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.FAILED
RUNNING = metadata_store_pb2.Execution.RUNNING


def environment(root: Path) -> dict[str, str]:
    values = {
        "name": "digits",
        "data": {"dataset": "digits", "max_examples": 100},
        "gate": {"min_accuracy": 0.1},
        "run": {"root": str(root), "serving_dir": str(root / "serving")},
    }
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    return clean | {CONFIG_VARIABLE: json.dumps(values)}


def run(root: Path, *arguments: str, killed_at: str = "") -> subprocess.CompletedProcess[str]:
    program = ["tests.killed", killed_at, "after", "kubeflow.run_node"] if killed_at else ["kubeflow.run_node"]
    return warm.run(*program, *arguments, env=environment(root))


def events(done: subprocess.CompletedProcess[str]) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def states(root: Path, monkeypatch) -> list[int]:
    for key, value in environment(root).items():
        monkeypatch.setenv(key, value)
    with store.opened(load()) as opened:
        return [execution.last_known_state for execution in opened.get_executions()]


def test_a_killed_pod_is_run_again_within_its_execution(tmp_path, monkeypatch):
    killed = run(tmp_path, "TfdsExampleGen", "--run", "a", killed_at="components.example_gen.executor:_finish")
    assert killed.returncode == -signal.SIGKILL
    assert states(tmp_path, monkeypatch) == [RUNNING]
    again = run(tmp_path, "TfdsExampleGen", "--run", "a")
    assert again.returncode == 0, again.stderr
    assert states(tmp_path, monkeypatch) == [COMPLETE]
    assert [(line["run"], line["node"], line["event"]) for line in events(again)] == [
        ("a", "TfdsExampleGen", "started"),
        ("a", "TfdsExampleGen", "done"),
    ]
    assert events(again)[-1]["seconds"] > 0


def test_run_parameters_reach_the_node_and_what_fails_tells_by_its_status(tmp_path, monkeypatch):
    done = run(tmp_path, "TfdsExampleGen", "--run", "a", "--set", "data.max_examples", "3")
    assert done.returncode == 1
    assert "None of the 3 images" in done.stderr
    assert [line["event"] for line in events(done)] == ["started", "failed", "refused"]
    assert states(tmp_path, monkeypatch) == [FAILED]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["Traner", "--run", "a"], 1, "There is no node 'Traner': choose one of ImportSchemaGen,"),
        (
            ["Trainer", "--run", "a", "--set", "training.epochs", "3"],
            2,
            "GRAFTLINE_TRAINING__EPOCHS = '3': no such setting",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, arguments, status, told):
    done = run(tmp_path, *arguments)
    assert done.returncode == status
    assert told in done.stderr
    assert "Traceback" not in done.stderr
