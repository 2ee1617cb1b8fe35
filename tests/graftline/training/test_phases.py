"""Training that does not go as it should.

Interrupted anywhere, it resumes and ends with the same result. If it diverges, it stops and says so. Epochs that make the
network worse are not exported.
"""

import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.features import on_device
from graftline.features.cache import POOLED
from graftline.training import phases
from graftline.training.checkpoints import Checkpoints, rank
from graftline.training.workers import Workers
from tests import tiny, warm

EPOCHS = {"phase_1": {"epochs": 2, "learning_rate": 1e-2}, "phase_2": {"epochs": 2, "learning_rate": 1e-3}}
# Each step is saved; dropout has a state, which must be saved too
TRAINING: dict[str, Any] = {"checkpoint_minutes": 1e-9, **EPOCHS}
MODEL = {"dropout": 0.2}
STEPS = 3  # per epoch: 12 images in batches of 4
SAVES = STEPS + 1  # per epoch: after each step, and at its end


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("data")
    tiny.write_examples(folder / "examples", 2)
    tiny.write_transform(folder, [])
    return folder / "examples", str(folder / "graph")


@pytest.fixture(scope="module")
def uninterrupted(data: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    output = tmp_path_factory.mktemp("uninterrupted")
    return tiny.train(*data, output, training=TRAINING, model=MODEL), output


def _interrupt(data: tuple[Path, str], output: Path, moment: str, number: int, sent: signal.Signals) -> int:
    """Runs a training that gets a signal at a checkpoint, and returns its exit status."""
    arguments = [str(data[0]), data[1], str(output), moment, str(number), str(int(sent))]
    done = warm.run("tests.graftline.training.struck", *arguments)
    assert done.returncode != 0, "it should have been interrupted"
    return done.returncode


def _weights(output: Path) -> list[np.ndarray]:
    path = str(output / "serving/variables/variables")
    values = [tf.train.load_variable(path, name) for name, _ in tf.train.list_variables(path)]
    return [value for value in values if isinstance(value, np.ndarray) and value.dtype == np.float32]


def _timeless(history: dict[str, Any]) -> dict[str, Any]:
    found = json.loads(json.dumps(history))
    for phase in found["phases"]:
        for epoch in phase["epochs"]:
            del epoch["seconds"], epoch["ended"]
    return found


def _assert_same(one: tuple[dict[str, Any], Path], other: tuple[dict[str, Any], Path]) -> None:
    for mine, theirs in zip(_weights(one[1]), _weights(other[1]), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
    for mine, theirs in zip(*(_timeless(history)["phases"] for history, _ in (one, other)), strict=True):
        assert mine["weights_of"] == theirs["weights_of"]
        for left, right in zip(mine["epochs"], theirs["epochs"], strict=True):
            assert left == pytest.approx(right, abs=1e-5)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param("after", 2, id="in phase 1"),
        pytest.param("after", 2 * SAVES, id="between the phases"),
        pytest.param("after", 2 * SAVES + 2, id="in phase 2"),
        pytest.param("during", 3 * SAVES, id="while a checkpoint is written"),
    ],
)
def test_a_killed_training_goes_on_and_ends_as_if_it_had_not_been(
    data: tuple[Path, str], uninterrupted: tuple[dict[str, Any], Path], tmp_path: Path, capsys, moment: str, number: int
) -> None:
    assert _interrupt(data, tmp_path, moment, number, signal.SIGKILL) == -signal.SIGKILL
    left = list((tmp_path / "work/checkpoints").glob("*/*"))
    assert any(path.suffix == ".tmp" for path in left) == (moment == "during")
    history = tiny.train(*data, tmp_path, training=TRAINING, model=MODEL)
    assert "Resuming training" in capsys.readouterr().out
    _assert_same((history, tmp_path), uninterrupted)
    # For a day, an unfinished file may belong to another process
    assert list((tmp_path / "work/checkpoints").glob("*/*.npz")) == [], (
        "checkpoints of a finished training must be removed"
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_saves_first(
    data: tuple[Path, str], uninterrupted: tuple[dict[str, Any], Path], tmp_path: Path, sent: signal.Signals
) -> None:
    _interrupt(data, tmp_path, "after", SAVES + 1, sent)
    (folder,) = (tmp_path / "work/checkpoints").iterdir()
    found = Checkpoints(folder).latest()
    assert found is not None
    assert (found[0].phase, found[0].epoch, found[0].step) == (1, 1, 1)
    _assert_same((tiny.train(*data, tmp_path, training=TRAINING, model=MODEL), tmp_path), uninterrupted)


@pytest.mark.parametrize("phase", [1, 2])
def test_asked_to_stop_after_the_last_step_of_a_phase_it_does(
    data: tuple[Path, str], uninterrupted: tuple[dict[str, Any], Path], tmp_path: Path, phase: int
) -> None:
    assert _interrupt(data, tmp_path, "late", phase, signal.SIGINT) != 0
    assert not (tmp_path / "serving").exists()
    _assert_same((tiny.train(*data, tmp_path, training=TRAINING, model=MODEL), tmp_path), uninterrupted)


def test_a_damaged_checkpoint_costs_a_step_and_no_more(
    data: tuple[Path, str], uninterrupted: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    _interrupt(data, tmp_path, "after", 2 * SAVES + 2, signal.SIGKILL)
    last = max((tmp_path / "work/checkpoints").glob("*/*.npz"))
    contents = bytearray(last.read_bytes())
    contents[len(contents) // 3] ^= 16
    last.write_bytes(contents)
    _assert_same((tiny.train(*data, tmp_path, training=TRAINING, model=MODEL), tmp_path), uninterrupted)


@pytest.mark.parametrize(("minutes", "saves"), [(5, 0), (1e-9, 4 * SAVES)])
def test_the_ends_of_short_epochs_are_not_worth_a_checkpoint(
    data: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: float, saves: int
) -> None:
    written = []
    monkeypatch.setattr(Checkpoints, "save", lambda _, position, values: written.append(position.epoch))
    tiny.train(*data, tmp_path, training=TRAINING | {"checkpoint_minutes": minutes}, model=MODEL)
    assert len(written) == saves


def test_another_recipe_does_not_go_on_from_it(data: tuple[Path, str], tmp_path: Path, capsys) -> None:
    _interrupt(data, tmp_path, "after", 2, signal.SIGKILL)
    other = TRAINING | {"seed": 7}
    history = tiny.train(*data, tmp_path, training=other, model=MODEL)
    assert "Resuming training" not in capsys.readouterr().out
    assert [len(phase["epochs"]) for phase in history["phases"]] == [2, 2]


@pytest.mark.parametrize("phase", [1, 2])
def test_a_training_that_diverges_ends_and_leaves_nothing_behind(
    data: tuple[Path, str], tmp_path: Path, phase: int
) -> None:
    wild = TRAINING | {f"phase_{phase}": {"epochs": 2, "learning_rate": 1e30}}
    told = rf"diverged in phase {phase}, epoch 1, at a learning rate of 1e\+30 .* lower training\.phase_{phase}"
    with pytest.raises(UserError, match=told):
        tiny.train(*data, tmp_path, training=wild, model=MODEL)
    assert not (tmp_path / "serving").exists()
    assert list((tmp_path / "work/checkpoints").glob("*/*")) == [], "the next run would resume from such weights"


def test_one_that_diverges_in_the_last_step_of_an_epoch_is_found_on_validation(
    data: tuple[Path, str], tmp_path: Path
) -> None:
    one_step = {"batch_size": 12, "phase_1": {"epochs": 1, "learning_rate": 1e30}, "phase_2": {"epochs": 0}}
    with pytest.raises(UserError, match="diverged in phase 1, epoch 1"):
        tiny.train(*data, tmp_path, training=one_step)


# A phase 2 after which the network is worse than before it, and one whose moving statistics change
RUINOUS: dict[str, Any] = TRAINING | {"phase_2": {"epochs": 2, "learning_rate": 1.0}}
NORMS = {"batch_norm": "train"}


def test_epochs_that_make_it_worse_are_not_exported_even_after_an_interruption(
    data: tuple[Path, str], tmp_path: Path, monkeypatch, capsys
) -> None:
    without = RUINOUS | {"phase_2": {"epochs": 0}}
    (expected,) = tiny.train(*data, tmp_path / "without", training=without, model=NORMS)["phases"]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        _stop_at_checkpoint(patch, 2 * SAVES + 2)
        tiny.train(*data, tmp_path / "ruined", training=RUINOUS, model=NORMS)
    *_, found = tiny.train(*data, tmp_path / "ruined", training=RUINOUS, model=NORMS)["phases"]
    assert rank(max(found["epochs"], key=rank)) < rank(max(expected["epochs"], key=rank)), (
        "phase 2 should have made the network worse"
    )
    assert found["weights_of"] == expected["weights_of"]
    assert found["validation_accuracy"] == expected["validation_accuracy"]
    assert found["test_accuracy"] == expected["test_accuracy"]
    for mine, theirs in zip(_weights(tmp_path / "ruined"), _weights(tmp_path / "without"), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    said = f"with the weights of epoch {found['weights_of']['epoch']} of phase 1."
    assert [said in line for line in capsys.readouterr().out.splitlines() if line.startswith("Phase 2: val")] == [True]


def _stop_at_checkpoint(patch: pytest.MonkeyPatch, number: int) -> None:
    """Interrupts a training as soon as it has written so many checkpoints."""
    save, left = Checkpoints.save, iter(range(number - 1, -1, -1))

    def saved(*arguments: Any) -> Path:
        path = save(*arguments)
        if not next(left):
            raise KeyboardInterrupt
        return path

    patch.setattr(Checkpoints, "save", saved)


def test_the_last_epoch_is_exported_where_that_is_wanted(data: tuple[Path, str], tmp_path: Path) -> None:
    *_, found = tiny.train(*data, tmp_path, training=RUINOUS | {"export": "last"}, model=NORMS)["phases"]
    assert found["weights_of"] == {"phase": 2, "epoch": 2}
    assert found["validation_accuracy"] == found["epochs"][-1]["val_accuracy"]


def test_a_phase_without_a_better_epoch_ends_early(data: tuple[Path, str], tmp_path: Path) -> None:
    still = {"epochs": 9, "learning_rate": 1e-12}  # too small to change a weight
    history = tiny.train(*data, tmp_path, training={"phase_1": still, "phase_2": still, "patience": 2})
    assert [len(phase["epochs"]) for phase in history["phases"]] == [3, 3]
    assert [phase["weights_of"] for phase in history["phases"]] == [{"phase": 1, "epoch": 1}] * 2


@pytest.mark.parametrize(("devices", "placed"), [(1, True), (2, False)])
def test_features_go_to_a_device_only_where_it_trains_alone(monkeypatch, devices, placed):
    asked = []
    monkeypatch.setattr(on_device, "place", lambda _, features: asked.append(features))
    strategy = SimpleNamespace(num_replicas_in_sync=devices)  # all in one process
    run = SimpleNamespace(workers=Workers(strategy), splits={})
    batches, _ = phases.Run._placed(run, SimpleNamespace(features=POOLED, trained=None))
    assert asked == [POOLED] * placed
    assert isinstance(batches, phases.OnDisk)


@pytest.mark.parametrize(
    ("better", "worse"),
    [((0.9, 0.5), (0.8, 0.1)), ((0.9, 0.4), (0.9, 0.5))],
    ids=["by accuracy", "by loss where that is the same"],
)
def test_epochs_are_ranked(better: tuple[float, float], worse: tuple[float, float]) -> None:
    epochs = [{"val_accuracy": accuracy, "val_loss": loss} for accuracy, loss in (worse, better, worse)]
    assert max(epochs, key=rank) == epochs[1]


SOLVED: dict[str, Any] = EPOCHS | {"phase_1": {"optimizer": "lbfgs"}}


def test_a_solved_head_is_one_epoch_and_what_phase_2_begins_with(data: tuple[Path, str], tmp_path: Path) -> None:
    history = tiny.train(*data, tmp_path, training=SOLVED | {"augmentation": "crops", "crops": 2}, model=MODEL)
    solved, fine_tuned = history["phases"]
    (epoch,) = solved["epochs"]
    assert epoch["epoch"] == 1 and epoch["accuracy"] == 1.0, "brightness alone separates the classes"
    assert len(fine_tuned["epochs"]) == 2
    assert [Path(view).name for view in history["features"]["train"]] == [
        "train_plain",
        "train_mirrored",
        "train_crop_1",
        "train_crop_2",
    ]


@pytest.mark.faults
@pytest.mark.parametrize("export", ["best", "settled"])
def test_a_training_with_a_solved_head_goes_on_to_the_same_end(
    data: tuple[Path, str], tmp_path: Path, export: str
) -> None:
    settings = SOLVED | {"checkpoint_minutes": 1e-9, "export": export}
    expected = tiny.train(*data, tmp_path / "uninterrupted", training=settings, model=MODEL)
    saves = 0
    save = Checkpoints.save

    def interrupted(self: Checkpoints, *arguments: Any) -> Path:
        nonlocal saves
        saves += 1
        path = save(self, *arguments)
        if saves == 3:  # one for the head, two in phase 2
            raise KeyboardInterrupt
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny.train(*data, tmp_path / "interrupted", training=settings, model=MODEL)
    found = tiny.train(*data, tmp_path / "interrupted", training=settings, model=MODEL)
    _assert_same((found, tmp_path / "interrupted"), (expected, tmp_path / "uninterrupted"))


def test_more_rows_than_can_be_solved_are_stepped(
    data: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phases.head, "MOST_ROWS", 11)
    stepped = {"phase_1": {"optimizer": "lbfgs", "epochs": 3, "learning_rate": 1e-2}, "phase_2": {"epochs": 0}}
    history = tiny.train(*data, tmp_path, training=stepped, model=MODEL)
    assert len(history["phases"][0]["epochs"]) == 3


@pytest.mark.parametrize(("steps", "passes"), [(1, 1), (3, 1), (5, 2), (30, 9)])
def test_steps_are_whole_passes(data: tuple[Path, str], tmp_path: Path, steps: int, passes: int) -> None:
    training = {"phase_1": {"epochs": 9, "steps": steps, "learning_rate": 1e-2}, "phase_2": {"epochs": 0, "steps": 9}}
    (phase,) = tiny.train(*data, tmp_path, training=training, model=MODEL)["phases"]
    assert len(phase["epochs"]) == passes


@pytest.mark.parametrize("ruined", [True, False])
def test_of_epochs_that_phases_end_with_the_one_of_the_lowest_loss_is_exported(
    data: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ruined: bool
) -> None:
    # Validation results per epoch: those in the middle of phase 2 are luck, and so is one more correct image
    said = iter([(0.5, 1.0), (0.75, 0.5), (1.0, 0.1), (0.8, 0.6) if ruined else (0.7, 0.4)])
    real = phases.EpochLog.on_epoch_end

    def end(self: Any, epoch: int, logs: dict[str, float] | None = None) -> None:
        real(self, epoch, (logs or {}) | dict(zip(("val_accuracy", "val_loss"), next(said), strict=True)))

    monkeypatch.setattr(phases.EpochLog, "on_epoch_end", end)
    history = tiny.train(*data, tmp_path / "settled", training=EPOCHS | {"export": "settled"}, model=MODEL)
    first, second = history["phases"]
    assert first["weights_of"] == {"phase": 1, "epoch": 2}
    assert second["weights_of"] == ({"phase": 1, "epoch": 2} if ruined else {"phase": 2, "epoch": 2})
    monkeypatch.undo()
    alone = EPOCHS | {"export": "last"} | ({"phase_2": {"epochs": 0}} if ruined else {})
    tiny.train(*data, tmp_path / "last", training=alone, model=MODEL)
    for mine, theirs in zip(_weights(tmp_path / "settled"), _weights(tmp_path / "last"), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
