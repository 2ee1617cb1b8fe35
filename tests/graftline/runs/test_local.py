"""A run reports what stopped it, with the exit status."""

import signal
import subprocess
import sys
import time

import pytest

from graftline.base import stop
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.runs import local
from tests.past import settings_of


@pytest.mark.parametrize(
    ("error", "asked", "status", "told"),
    [
        (UserError("The data is wrong."), False, 1, "The data is wrong."),
        (UserError("A worker is gone."), True, 130, stop.STOPPED),
        (RuntimeError("A worker is gone."), True, 130, stop.STOPPED),
        (KeyboardInterrupt(), False, 130, stop.STOPPED),
    ],
)
def test_how_a_run_ended_is_told(tmp_path, monkeypatch, capsys, error, asked, status, told):
    monkeypatch.setattr(stop, "_asked_to_stop", [signal.SIGINT] if asked else [])
    monkeypatch.setattr(stop, "stop_when_asked", lambda: None)

    def fail(*_):
        raise error

    monkeypatch.setattr(local, "main", fail)
    assert local.program(settings_of(tmp_path), fail, fail) == status
    assert capsys.readouterr().err == f"{told}\n"


def test_what_is_nobodys_fault_is_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(stop, "stop_when_asked", lambda: None)

    def fail(*_):
        raise RuntimeError("a bug")

    monkeypatch.setattr(local, "main", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        local.program(settings_of(tmp_path), fail, fail)


@pytest.mark.parametrize("seconds", [0.7, 2, 5])
def test_a_program_that_is_still_importing_stops_at_once(seconds):
    process = subprocess.Popen(
        [sys.executable, "pipeline.py"], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    assert (process.returncode, out, told.splitlines()[-1]) == (stop.STATUS, "", stop.STOPPED)
    assert "Traceback" not in told
