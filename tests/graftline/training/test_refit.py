"""Training again on training and validation images is as training that had all of them to learn from."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from graftline.artifacts.examples import LABEL, TEST, TRAIN, VALIDATION
from graftline.settings.training import Training
from graftline.training import phases
from graftline.training.checkpoints import Checkpoints
from tests import tiny

EPOCHS: dict[str, Any] = {"phase_1": {"epochs": 2, "learning_rate": 1e-2}, "phase_2": {"epochs": 2}}
REFIT = EPOCHS | {"export": "settled", "refit": True, "augmentation": "flip", "temperature": False}
LEARNT = tiny.IMAGES[TRAIN] + tiny.IMAGES[VALIDATION]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("data")
    tiny.write_examples(folder / "examples", 2)
    tiny.write_transform(folder, [])
    return folder / "examples", str(folder / "graph")


@pytest.fixture(scope="module")
def joined(data: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The same images, those for validation after those for training in one split."""
    folder = tmp_path_factory.mktemp("joined") / "examples"
    shutil.copytree(data[0], folder)
    (file,) = (folder / f"Split-{TRAIN}").iterdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for split in (TRAIN, VALIDATION):
            for record in tf.data.TFRecordDataset(
                str(next((data[0] / f"Split-{split}").iterdir()))
            ).as_numpy_iterator():
                writer.write(record)
    return folder, data[1]


def _weights(output: Path) -> list[np.ndarray]:
    path = str(output / "serving/variables/variables")
    # Without the reference for known images, which stays that of the training split
    layers = [name for name, _ in tf.train.list_variables(path) if "_reference" not in name]
    values = [tf.train.load_variable(path, name) for name in layers]
    return [value for value in values if isinstance(value, np.ndarray) and value.dtype == np.float32]


def _assert_same(one: Path, *others: Path) -> None:
    """Holds that a model's weights are the mean of those of others."""
    mine, theirs = _weights(one), [np.mean(same, axis=0) for same in zip(*map(_weights, others), strict=True)]
    assert len(mine) > 10
    for left, right in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


def _test_accuracy(output: Path, examples: Path) -> float:
    served = tf.saved_model.load(str(output / "serving")).signatures["serving_default"]
    records = list(tf.data.TFRecordDataset(str(next((examples / f"Split-{TEST}").iterdir()))).as_numpy_iterator())
    labels = [tf.train.Example.FromString(record).features.feature[LABEL].int64_list.value[0] for record in records]
    answers = served(examples=tf.constant(records))["probabilities"].numpy().argmax(axis=1)
    return float((answers == labels).mean())


def _say(patch: pytest.MonkeyPatch, second: float) -> None:
    """Makes the validation loss of phase 1 end at 0.5, and that of phase 2 at another value."""
    said = iter([1.0, 0.5, 0.1, second])
    real = phases.EpochLog.on_epoch_end

    def end(self: Any, epoch: int, logs: dict[str, float] | None = None) -> None:
        found = logs or {}
        real(self, epoch, found | ({"val_loss": next(said)} if "val_loss" in found else {}))

    patch.setattr(phases.EpochLog, "on_epoch_end", end)


@pytest.mark.parametrize(("second", "chosen"), [(0.4, 2), (0.6, 1)], ids=["fine-tuned", "head"])
def test_the_chosen_phases_run_again_as_if_all_images_were_for_training(
    data: tuple[Path, str], joined: tuple[Path, str], tmp_path: Path, capsys, second: float, chosen: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        _say(patch, second)
        history = tiny.train(*data, tmp_path / "refit", training=REFIT)
    printed = capsys.readouterr().out
    assert history["phases"][-1]["weights_of"]["phase"] == chosen
    assert f"Training again, on all {LEARNT} training and validation images." in printed
    assert printed.count(f", {LEARNT} images") == chosen, "each repeated phase names what it learns from"
    whole = REFIT | {"export": "last", "refit": False} | ({"phase_2": {"epochs": 0}} if chosen == 1 else {})
    tiny.train(*joined, tmp_path / "whole", training=whole)
    others = [tmp_path / "whole"]
    if chosen == 2:
        tiny.train(*data, tmp_path / "part", training=REFIT | {"export": "last", "refit": False})
        others.append(tmp_path / "part")
    _assert_same(tmp_path / "refit", *others)
    assert history["refit"] == {"images": LEARNT, "test_accuracy": _test_accuracy(tmp_path / "refit", data[0])}


def test_what_validation_fits_is_that_of_the_model_which_has_not_seen_it(
    data: tuple[Path, str], tmp_path: Path
) -> None:
    calibrated = REFIT | {"temperature": True}
    refitted = tiny.train(*data, tmp_path / "refit", training=calibrated)
    chosen = tiny.train(*data, tmp_path / "chosen", training=calibrated | {"refit": False})
    assert refitted["temperature"] == pytest.approx(chosen["temperature"], abs=1e-6)
    assert refitted["known"] == chosen["known"]
    assert chosen["refit"] is None


def test_neither_training_learns_from_the_test_split(data: tuple[Path, str], tmp_path: Path) -> None:
    tiny.train(*data, tmp_path / "refit", training=REFIT)
    others = tmp_path / "examples"
    shutil.copytree(data[0], others)
    (file,) = (others / f"Split-{TEST}").iterdir()
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records[:2]:
            writer.write(record)
    tiny.train(others, data[1], tmp_path / "others", training=REFIT)
    _assert_same(tmp_path / "refit", tmp_path / "others")


@pytest.mark.parametrize("saves", [18, 29], ids=["in phase 1", "in phase 2"])  # the choice saves 16 times
def test_interrupted_it_resumes_and_ends_the_same(
    data: tuple[Path, str], tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    settings = REFIT | {"checkpoint_minutes": 1e-9}
    expected = tiny.train(*data, tmp_path / "whole", training=settings)
    save, left = Checkpoints.save, saves

    def interrupted(self: Checkpoints, *arguments: Any) -> Path:
        nonlocal left
        left -= 1
        path = save(self, *arguments)
        if not left:
            raise KeyboardInterrupt
        return path

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tiny.train(*data, tmp_path / "interrupted", training=settings)
    capsys.readouterr()
    history = tiny.train(*data, tmp_path / "interrupted", training=settings)
    assert capsys.readouterr().out.count("Resuming training") == 2, "the choice, which is done, and what it was doing"
    assert history["refit"] == expected["refit"]
    _assert_same(tmp_path / "interrupted", tmp_path / "whole")
    assert not list((tmp_path / "interrupted/work/checkpoints").glob("*/*.npz"))


def test_without_phases_nothing_is_repeated(data: tuple[Path, str], tmp_path: Path) -> None:
    nothing = {"phase_1": {"epochs": 0}, "phase_2": {"epochs": 0}}
    assert tiny.train(*data, tmp_path, training=REFIT | nothing)["refit"] is None


@pytest.mark.parametrize("other", [{"export": "best"}, {"export": "last", "patience": 2}])
def test_an_epoch_in_the_middle_cannot_be_repeated(other: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"repeats whole phases; set training\.export to settled or last"):
        Training(refit=True, **other)
