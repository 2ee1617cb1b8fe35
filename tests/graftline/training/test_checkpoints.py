"""Checkpoints: what goes in comes out, the latest two are kept, a damaged one is reported and the previous one used."""

import logging
import os
from pathlib import Path

import keras
import numpy as np
import pytest

from graftline.base.paths import in_use
from graftline.training import checkpoints
from graftline.training.checkpoints import Checkpoints, Position
from tests.disks import tmpfs


def _variables(value: float) -> list[keras.Variable]:
    return [keras.Variable(np.full((50, 50), value, np.float32)), keras.Variable(np.int64(value), dtype="int64")]


@pytest.fixture
def saved(tmp_path: Path) -> Checkpoints:
    """Three checkpoints, the last in the second epoch of phase 2."""
    found = Checkpoints(tmp_path / "training")
    for position in (
        Position(1, 1),
        Position(2, 0, 7),
        Position(2, 1, 3, {"loss": 0.5}, [{"epoch": 1}], [{"phase": 1}]),
    ):
        found.save(position, _variables(position.step))
    return found


def _value(arrays: list[np.ndarray]) -> float:
    variables = _variables(0)
    checkpoints.restore(variables, arrays)
    assert np.unique(variables[0].numpy()) == int(variables[1].numpy())
    return float(variables[0].numpy()[0, 0])


def test_the_latest_comes_back_as_it_was(saved: Checkpoints) -> None:
    found = saved.latest()
    assert found is not None
    assert found[0] == Position(2, 1, 3, {"loss": 0.5}, [{"epoch": 1}], [{"phase": 1}])
    assert _value(found[1]) == 3


def test_two_are_kept_and_all_removed_at_the_end(saved: Checkpoints) -> None:
    assert len(list(saved.folder.iterdir())) == 2
    saved.remove()
    assert saved.latest() is None


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "empty", "another file"])
def test_a_damaged_one_is_told_and_the_one_before_is_used(saved: Checkpoints, caplog, damage: str) -> None:
    last = max(saved.folder.iterdir())
    contents = bytearray(last.read_bytes())
    contents[len(contents) // 2] ^= 4
    damaged = {
        "flipped bit": bytes(contents),
        "truncated": bytes(contents[:-30]),
        "empty": b"",
        "another file": b"no zip" * 100,
    }
    last.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        found = saved.latest()
    assert found is not None
    assert (found[0].step, _value(found[1])) == (7, 7)
    assert str(last) in caplog.text
    assert not last.exists()


def test_no_bit_can_be_flipped_unseen(saved: Checkpoints) -> None:
    last = max(saved.folder.iterdir())
    sound = last.read_bytes()
    expected = saved.latest()
    assert expected is not None
    for place in np.random.default_rng(0).integers(0, len(sound), 200):
        contents = bytearray(sound)
        contents[place] ^= 1
        last.write_bytes(contents)
        found = saved.latest()
        assert found is not None
        same = found[0] == expected[0] and all(map(np.array_equal, found[1], expected[1]))
        assert same or found[0].step == 7, f"a flipped bit at {place} of {len(sound)} goes unnoticed"


def test_a_half_written_one_is_not_read(saved: Checkpoints) -> None:
    last = max(saved.folder.iterdir())
    last.rename(last.with_suffix(".tmp"))
    found = saved.latest()
    assert found is not None
    assert found[0].step == 7


def test_arrays_of_another_network_are_refused(saved: Checkpoints) -> None:
    found = saved.latest()
    assert found is not None
    with pytest.raises(ValueError):
        checkpoints.restore(_variables(0)[:1], found[1])


def test_a_full_disk_leaves_the_ones_before(tmp_path: Path) -> None:
    with tmpfs(tmp_path, "32k"):
        saved = Checkpoints(tmp_path / "training")
        saved.save(Position(1, 0, 1), _variables(1))
        saved.save(Position(1, 0, 2), _variables(2))
        with pytest.raises(OSError, match="No space left on device"):
            saved.save(Position(1, 0, 3), _variables(3))
        found = saved.latest()
        assert found is not None
        assert (found[0].step, _value(found[1])) == (2, 2)
        assert len(list(saved.folder.iterdir())) == 2


def test_the_same_training_in_two_processes_takes_nothing_from_either(tmp_path):
    one, other = (Checkpoints(tmp_path / "key") for _ in range(2))
    variables = [keras.Variable(np.ones(3))]
    one.save(Position(phase=1, epoch=3), variables)
    other.save(Position(phase=1, epoch=1), variables)  # which lags behind
    one.remove()
    assert other.save(Position(phase=1, epoch=2), variables).is_file()
    latest = other.latest()
    assert latest is not None and latest[0].epoch == 2


def test_folders_that_a_training_reads_are_touched_with_each_checkpoint(tmp_path):
    features = tmp_path / "features"
    features.mkdir()
    os.utime(features, (0, 0))
    Checkpoints(tmp_path / "key", used=[features]).save(Position(), [keras.Variable(np.ones(3))])
    assert in_use(features)


def test_what_a_killed_training_has_left_half_written_goes_when_it_is_a_day_old(tmp_path):
    left = tmp_path / "key/1-00000-00000000.npz-0.tmp"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (0, 0))
    Checkpoints(tmp_path / "key").save(Position(), [keras.Variable(np.ones(3))])
    assert not left.exists()
