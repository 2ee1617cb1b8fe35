"""What was asked for, or does not hold any more, is heeded."""

import signal

import pytest

from graftline.base import stop


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
