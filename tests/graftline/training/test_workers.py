"""Training in two processes equals training in one, and workers that cannot train together say why."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.features import build
from graftline.network import backbone
from graftline.settings.training import Model
from graftline.training import workers
from tests import tiny

TRAINING: dict[str, Any] = {
    "batch_size": 4,  # with 13 images, the last batch does not split evenly
    "mixed_precision": "off",  # so that rounding is small
    "checkpoint_minutes": 1e-9,
    "phase_1": {"epochs": 2, "learning_rate": 1e-2},
    "phase_2": {"epochs": 2, "learning_rate": 1e-4, "schedule": "cosine", "optimizer": "rmsprop"},
}
STEPS = 4  # per epoch
LIMIT = 240  # seconds for two processes

# A worker that prints what it computes and writes, and may send itself a signal after a number of steps
CHILD = """
import json, os, sys
from pathlib import Path
from components.trainer import run_fn
from graftline.features import cache
from graftline.training import callbacks
from graftline.training import checkpoints
from tests import tiny

examples, graph, output, weights, training, signal_number, steps = sys.argv[1:]

def told(module, name):
    function = getattr(module, name)
    def tell(*arguments):
        print("does", name, flush=True)
        return function(*arguments)
    setattr(module, name, tell)

for place, name in (
    (cache, "fill"), (checkpoints.Checkpoints, "save"), (run_fn, "_write_json"), (run_fn, "export")
):
    told(place, name)

left, note = int(steps), callbacks.EpochLog.on_train_batch_end

def strike(*arguments, **options):
    global left
    note(*arguments, **options)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), int(signal_number))

callbacks.EpochLog.on_train_batch_end = strike
tiny.train(Path(examples), graph, Path(output), training=json.loads(training), model={"weights": weights})
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiny.IMAGES, TRAIN, 13)
        patch.setitem(tiny.IMAGES, VALIDATION, 5)
        tiny.write_examples(folder / "examples", 2)
    tiny.write_transform(folder, [])
    keras.utils.set_random_seed(1)
    tiny.write_weights(folder / "weights.h5")
    return SimpleNamespace(
        examples=folder / "examples", graph=str(folder / "graph"), weights=str(folder / "weights.h5")
    )


@pytest.fixture(scope="module")
def alone(data: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("alone")
    history = tiny.train(data.examples, data.graph, folder, training=TRAINING, model={"weights": data.weights})
    return SimpleNamespace(folder=folder, history=history)


def _tf_config(addresses: list[str], index: int) -> str:
    return json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})


def _free_addresses() -> list[str]:
    sockets = [socket.socket() for _ in range(2)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return addresses


def _train_together(
    data: SimpleNamespace, output: Path, *changes: dict[str, Any], strike: tuple[int, int] = (0, 0)
) -> list[SimpleNamespace]:
    """Runs two workers, the second with changes or stopped by a signal after some steps; returns how each ended."""
    addresses, children = _free_addresses(), []
    for index in range(2):
        training = json.dumps(TRAINING | (changes[0] if changes and index else {}))
        ends = [str(int(number)) for number in (strike if index else (0, 0))]
        arguments = [str(data.examples), data.graph, str(output), data.weights, training, *ends]
        environment = os.environ | {"TF_CONFIG": _tf_config(addresses, index)}
        command = [sys.executable, "-c", CHILD, *arguments]
        with (output / f"{index}.out").open("w") as said:
            child = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=said, stderr=subprocess.STDOUT)
        children.append(child)
    try:
        statuses = [child.wait(LIMIT) for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    return [
        SimpleNamespace(status=status, said=(output / f"{index}.out").read_text())
        for index, status in enumerate(statuses)
    ]


def _assert_same_curves(history: dict[str, Any], alone: SimpleNamespace) -> None:
    for mine, theirs in zip(history["phases"], alone.history["phases"], strict=True):
        assert mine["test_accuracy"] == theirs["test_accuracy"]
        assert mine["weights_of"] == theirs["weights_of"]
        for left, right in zip(mine["epochs"], theirs["epochs"], strict=True):
            for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
                assert left[name] == pytest.approx(right[name], abs=1e-4), name


def _probabilities(folder: Path, examples_folder: Path) -> np.ndarray:
    served = tf.saved_model.load(str(folder / "serving"))
    records = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{examples_folder}/Split-test/*"))
    examples = tf.constant(list(records.as_numpy_iterator()))
    return served.signatures["serving_default"](examples=examples)["probabilities"].numpy()


def _done(worker: SimpleNamespace) -> set[str]:
    lines = [line.split() for line in worker.said.splitlines()]
    return {words[1] for words in lines if len(words) == 2 and words[0] == "does"}


def _history(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run/history.json").read_text())


def test_two_workers_train_as_one_process_does(data: SimpleNamespace, alone: SimpleNamespace, tmp_path: Path) -> None:
    chief, other = _train_together(data, tmp_path)
    assert (chief.status, other.status) == (0, 0), chief.said + other.said
    _assert_same_curves(_history(tmp_path), alone)
    mine, theirs = (_probabilities(folder, data.examples) for folder in (tmp_path, alone.folder))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4)
    assert _done(chief) == {"fill", "save", "_write_json", "export"}
    assert _done(other) == set()
    assert chief.said.count("does export") == 1
    assert len(list((tmp_path / "run/phase_1").iterdir())) == 1
    assert list((tmp_path / "work/checkpoints").glob("*/*")) == [], "checkpoints of a finished training must be removed"
    for worker in (chief, other):
        assert "waiting for all 2 workers" in worker.said


@pytest.mark.faults
def test_one_asked_to_stop_stops_all_and_together_they_go_on(
    data: SimpleNamespace, alone: SimpleNamespace, tmp_path: Path
) -> None:
    stopped = _train_together(data, tmp_path, strike=(signal.SIGTERM, 2 * STEPS + 1))
    assert all("KeyboardInterrupt" in worker.said for worker in stopped)
    (last,) = (tmp_path / "work/checkpoints").glob("*/2-00000-00000001.npz")
    for worker in _train_together(data, tmp_path):
        assert worker.status == 0, worker.said
        assert "phase 2, after 0 epochs and 1 step" in worker.said
    assert not last.exists()
    _assert_same_curves(_history(tmp_path), alone)


@pytest.mark.faults
def test_a_lost_worker_ends_the_others_and_together_they_go_on(
    data: SimpleNamespace, alone: SimpleNamespace, tmp_path: Path
) -> None:
    chief, other = _train_together(data, tmp_path, strike=(signal.SIGKILL, STEPS + 1))
    assert other.status == -signal.SIGKILL
    assert chief.status == 1, chief.said
    assert "UnavailableError" in chief.said
    for worker in _train_together(data, tmp_path):
        assert "phase 1, after 1 epoch and 0 steps" in worker.said
    _assert_same_curves(_history(tmp_path), alone)


@pytest.mark.faults
def test_workers_that_diverge_all_say_so_and_export_nothing(data: SimpleNamespace, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(TRAINING, "phase_2", {"epochs": 2, "learning_rate": 1e30})
    for worker in _train_together(data, tmp_path):
        assert worker.status == 1
        assert "UserError: Training diverged in phase 2, epoch 1, at a learning rate of 1e+30" in worker.said
    assert not (tmp_path / "serving").exists()
    assert list((tmp_path / "work/checkpoints").glob("*/*")) == []


@pytest.mark.faults
def test_workers_with_other_settings_do_not_train(data: SimpleNamespace, tmp_path: Path) -> None:
    for worker in _train_together(data, tmp_path, {"seed": 7}):
        assert worker.status == 1
        assert "The workers would not train the same model" in worker.said
    assert not (tmp_path / "serving").exists()


def test_a_worker_that_does_not_see_the_chiefs_features_says_so(data: SimpleNamespace, tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = Model(**tiny.MODEL)
    base = backbone.build(model, Path(data.weights))
    config = {"model": tiny.MODEL, "prefix": {}, "training": TRAINING, "work_dir": str(tmp_path)}
    transform = tft.TFTransformOutput(data.graph)
    at = backbone.cut(base, model.fine_tune_at)
    with pytest.raises(UserError, match=r"not in .*train_plain: give all workers .* the same run\.root"):
        build.cached_splits(base, at, config, str(data.examples), transform, compute=False)
    assert list(tmp_path.rglob("*.npy")) == []


@pytest.mark.parametrize(
    ("tf_config", "told"),
    [
        ("{", "TF_CONFIG is not JSON"),
        ("[]", "must list the workers"),
        ('{"cluster": {}, "task": {"type": "worker", "index": 0}}', "must list the workers"),
        ('{"cluster": {"worker": []}, "task": {"type": "worker", "index": 0}}', "must list the workers"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}', "must list the workers"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "must list the workers"),
        (_tf_config(["a:1", "b:1"], 2), "task.index = 2, but cluster.worker lists 2: .* from 0 to 1"),
        (_tf_config(["a:1", "b:1"], -1), "task.index = -1"),
        (_tf_config(["a:1", "b:1", "c:1"], 0), "batch_size = 32 .* 3 workers .*: .* a multiple of 3"),
    ],
)
def test_a_tf_config_that_cannot_be_used_is_told(tf_config: str, told: str, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config)
    with pytest.raises(UserError, match=told):
        workers.join(32)


@pytest.mark.parametrize("tf_config", ["", _tf_config(["a:1"], 0)])
def test_one_worker_waits_for_nobody(tf_config: str, monkeypatch) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config)
    joined = workers.join(5)
    assert (joined.is_chief, joined.count) == (True, 1)
    assert joined.gather(3) == [3]
