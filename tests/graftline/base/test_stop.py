"""Requests to stop, and conditions that no longer hold, stop a process."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from graftline.base import stop
from graftline.base.paths import PROJECT

# Work in which Python drops exceptions, as in imports and finalizers, with a check from time to time
BUSY = """
import sys
from graftline.base import stop

class Lossy:
    def __del__(self):
        sum(range(2_000))

getattr(stop, sys.argv[1])()
print("ready", flush=True)
try:
    for _ in range(200):
        for _ in range(500):
            Lossy()
        stop.heed()
except KeyboardInterrupt:
    print(stop.STOPPED, file=sys.stderr)
    sys.exit(stop.STATUS)
"""


@pytest.mark.parametrize("handler", ["leave_when_asked", "stop_when_asked"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whenever_a_process_is_asked_to_stop_it_does(handler, number):
    for seed in range(10):
        process = subprocess.Popen(
            [sys.executable, "-c", BUSY, handler],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout and process.stdout.readline() == "ready\n"
        time.sleep(random.Random(seed).uniform(0, 0.1))
        os.kill(process.pid, number)
        _, told = process.communicate(timeout=60)
        assert (process.returncode, told.splitlines()[-1]) == (stop.STATUS, stop.STOPPED)


def test_what_is_asked_after_the_last_gentle_look_is_heeded(monkeypatch):
    monkeypatch.setattr(stop, "_asked_to_stop", [])
    with stop.stopped_gently() as asked:
        assert not asked.is_set()
        signal.raise_signal(signal.SIGINT)
    assert stop.asked()
    with pytest.raises(KeyboardInterrupt):
        stop.heed()


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


def test_a_condition_is_heeded_as_long_as_it_is_asked_for():
    def never() -> None:
        raise ValueError("the lock is lost")

    with stop.heeding(never), pytest.raises(ValueError, match="the lock is lost"):
        stop.heed()
    stop.heed()


WAITING = """
import threading
from graftline.base import stop

threading.Thread(target=threading.Event().wait).start()
print("what is told")
stop.leave_if_stopped(stop.STATUS)
"""


def test_a_thread_that_waits_without_end_does_not_keep_a_stopped_process():
    told = subprocess.run(
        [sys.executable, "-c", WAITING], cwd=PROJECT, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
    assert (told.returncode, told.stdout) == (stop.STATUS, "what is told\n")


def test_one_that_ended_goes_on():
    stop.leave_if_stopped(0)
    stop.leave_if_stopped(1)
