"""Old work directories go, those used last stay."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from graftline.base import stop
from graftline.runs import lock


def test_the_latest_used_of_each_kind_stay(tmp_path: Path) -> None:
    for age, name in enumerate("dabc"):
        for kind in lock.KINDS:
            (tmp_path / kind / name / "train_plain").mkdir(parents=True)
            os.utime(tmp_path / kind / name, (1000 - age, 1000 - age))
    lock.prune(tmp_path, 2)
    for kind in lock.KINDS:
        assert sorted(path.name for path in (tmp_path / kind).iterdir()) == ["a", "d"]


def test_nothing_there_is_nothing_to_prune(tmp_path: Path) -> None:
    lock.prune(tmp_path, 1)
    assert not list(tmp_path.iterdir())


def test_who_holds_the_lock_is_known(tmp_path: Path) -> None:
    assert lock.holder(tmp_path) is None
    with lock.alone(tmp_path):
        assert lock.holder(tmp_path) == psutil.Process()
    assert lock.holder(tmp_path) is None


def test_a_request_to_stop_that_was_lost_is_heeded(monkeypatch):
    monkeypatch.setattr(stop, "_asked_to_stop", [])
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    stop.stop_when_asked()
    try:
        stop.heed()
        for number in before:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    with pytest.raises(KeyboardInterrupt):
        stop.heed()
