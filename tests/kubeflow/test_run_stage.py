"""Runs the stages of a run, each in its own process, as pods do."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from graftline.runs import lock, store
from graftline.serving import versions
from graftline.settings.load import load
from tests import warm
from tests.kubeflow.test_run_node import environment, events

GATE = {
    "GRAFTLINE_GATE__MIN_ACCURACY": "0",
    "GRAFTLINE_GATE__MAX_ACCURACY_DROP": "1",
    "GRAFTLINE_GATE__MIN_TEST_EXAMPLES": "1",
}
SMALL = GATE | {
    "GRAFTLINE_DATA__MAX_EXAMPLES": "500",
    "GRAFTLINE_MODEL__IMAGE_SIZE": "64",
    "GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "4",
    "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "0",
}
RESOLVERS = {"BaselineData"}


def stage(root: Path, name: str, run: str, *more: str, killed_at: str = "", **changes: str):
    program = ["tests.killed", killed_at, "before", "kubeflow.run_stage"] if killed_at else ["kubeflow.run_stage"]
    return warm.run(*program, name, "--run", run, *more, env=environment(root) | SMALL | changes)


def prepare(root: Path, run: str, *more: str, **changes: str) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Runs the first stage, and returns what it decided."""
    decision = root / run / "decision"
    done = stage(root, "prepare", run, "--decision", str(decision), *more, **changes)
    assert done.returncode == 0, done.stderr
    return decision.read_text(), done


def ended(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Returns how each node ended, by name."""
    return {line["node"]: line["event"] for line in events(done)}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The folder of a first run that has pushed a model, stage by stage."""
    folder = tmp_path_factory.mktemp("stages")
    decision, done = prepare(folder, "first")
    assert decision == "train"
    assert ended(done)["Transform"] == "done"
    assert "Trainer" not in ended(done)
    done = stage(folder, "train", "first")
    assert ended(done) == {"Trainer": "done"}, done.stderr
    done = stage(folder, "release", "first")
    assert set(ended(done).values()) == {"done"}, done.stderr
    assert len(versions.versions(folder / "serving/digits")) == 1
    return folder


def test_where_nothing_has_changed_prepare_does_everything_and_nothing_is_to_be_trained(root):
    decision, done = prepare(root, "again")
    assert decision == "done"
    assert {node for node, event in ended(done).items() if event != "cached"} == RESOLVERS
    assert "Pusher" in ended(done)


def test_a_threshold_is_judged_without_training(root):
    decision, done = prepare(root, "strict", "--set", "gate.min_accuracy", "0.999")
    assert decision == "done"
    assert (ended(done)["Trainer"], ended(done)["Evaluator"]) == ("cached", "done")


def test_training_that_is_forced_is_decided_and_happens_once(root):
    force = ["--set", "run.force_retrain", "true"]
    assert prepare(root, "forced", *force)[0] == "train"
    assert ended(stage(root, "train", "forced", *force)) == {"Trainer": "done"}
    with store.opened(load_settings(root)) as opened:
        nodes = store.nodes(opened, "forced")
    assert [node.name for node in nodes].count("Trainer") == 1


def load_settings(root: Path):
    with pytest.MonkeyPatch.context() as patch:
        for key, value in (environment(root) | SMALL).items():
            patch.setenv(key, value)
        return load()


@pytest.mark.faults
def test_training_waits_for_no_lock_and_the_other_stages_do(root):
    assert prepare(root, "beside", "--set", "training.seed", "7")[0] == "train"
    with lock.held(load_settings(root), lock.RUN):
        assert stage(root, "train", "beside", "--set", "training.seed", "7").returncode == 0
        waiting = warm.Program(
            "kubeflow.run_stage", "release", "--run", "beside", "--set", "training.seed", "7",
            env=environment(root) | SMALL,
        )  # fmt: skip
        while "waiting for it to end" not in waiting.said():
            assert waiting.running()
            time.sleep(0.1)
        assert '"node"' not in waiting.said()
    assert set(ended(waiting.wait(300)).values()) == {"done"}


@pytest.mark.faults
def test_a_candidate_that_another_push_overtook_is_judged_again(root, tmp_path):
    changes = ["--set", "training.phase_1.epochs", "12"]  # so that it is better; otherwise it would not be pushed
    assert prepare(root, "slow", *changes)[0] == "train"
    stage(root, "train", "slow", *changes)
    directory, other = root / "serving/digits", tmp_path / "other"
    shutil.copytree(versions.find(directory), other)
    (other / "note").write_text("another model that answers the same")
    slow = warm.Program("kubeflow.run_stage", "release", "--run", "slow", *changes, env=environment(root) | SMALL)
    while '"node": "ServingCheck", "event": "started"' not in slow.said():
        assert slow.running()
        time.sleep(0.1)
    served = versions.publish(other, directory)
    done = slow.wait(300)
    assert done.returncode == 0, done.stderr
    assert "is no longer the one that this candidate was compared with" in done.stdout
    with store.opened(load_settings(root)) as opened:
        again = {node.name: node for node in store.nodes(opened, f"slow{store.AGAIN}")}
        blessing = again["Evaluator"].outputs["blessing"].custom_properties
        pushed = again["Pusher"].outputs["pushed_model"].custom_properties
    assert blessing["served"].string_value == served.digest
    assert bool(blessing["blessed"].int_value) == bool(pushed["pushed"].int_value)
    after = versions.production(directory)
    assert (after.version > served.version) == bool(pushed["pushed"].int_value)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["realease", "--run", "a"], "invalid choice: 'realease'"),
        (["train"], "the following arguments are required: --run"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, arguments, told):
    done = warm.run("kubeflow.run_stage", *arguments, env=environment(tmp_path))
    assert done.returncode == 2
    assert told in done.stderr


def test_a_node_that_refuses_ends_the_stage_and_decides_nothing(tmp_path):
    decision = tmp_path / "decision"
    done = stage(tmp_path, "prepare", "a", "--decision", str(decision), "--set", "data.max_examples", "3")
    assert done.returncode == 1
    assert [line["event"] for line in events(done)][-2:] == ["failed", "refused"]
    assert not decision.exists()
