"""What makes a process stop: Ctrl-C, SIGTERM, or a condition that no longer holds; and how it responds."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOPPED, STATUS = "Stopped. Run the same command to resume where it left off.", 130
_asked_to_stop: list[int] = []  # signals so far
_conditions: list[Callable[[], None]] = []  # each raises if this process must not go on


@contextlib.contextmanager
def stopped_gently() -> Iterator[threading.Event]:
    """Yields an event that is set by Ctrl-C or SIGTERM; a second signal stops the process at once.

    A signal after the last look at the event is remembered for `heed`.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        _asked_to_stop.append(number)
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread can set handlers
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_when_asked() -> None:
    """Ends this process at once on Ctrl-C and SIGTERM: for startup, before it has begun anything.

    A KeyboardInterrupt could be lost then, because imports run callbacks in which Python drops exceptions.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{STOPPED}\n".encode())  # not through a stream, which may be in the middle of another line
    os._exit(STATUS)


def leave_if_stopped(status: int) -> None:
    """Ends this process if its run was stopped: Beam's threads may wait forever for workers that are gone.

    Args:
      status: how the run ended.
    """
    if status == STATUS:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def stop_when_asked() -> None:
    """Turns Ctrl-C and SIGTERM into KeyboardInterrupt, which is remembered for `heed`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ask)


def _ask(number: int, frame: FrameType | None) -> None:
    _asked_to_stop.append(number)
    raise KeyboardInterrupt


@contextlib.contextmanager
def heeding(condition: Callable[[], None]) -> Iterator[None]:
    """Makes `heed` check another condition too.

    Args:
      condition: raises if this process must not go on.
    """
    _conditions.append(condition)
    try:
        yield
    finally:
        _conditions.remove(condition)


def asked() -> bool:
    """Returns whether this process was asked to stop; a failure after that may only be due to other processes stopping."""
    return bool(_asked_to_stop)


def heed() -> None:
    """Stops a run that was asked to stop or must not go on; called before each node, and before anything is published.

    Raises:
      KeyboardInterrupt: if an earlier one was lost, because Python drops exceptions in finalizers and callbacks.
      UserError: if a condition no longer holds.
    """
    if asked():
        raise KeyboardInterrupt
    for condition in _conditions:
        condition()
