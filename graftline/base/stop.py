"""What makes a process stop: Ctrl-C, SIGTERM, or that it may not go on; and how it heeds that."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOPPED, STATUS = "Stopped. The same command goes on from where it was.", 130
_asked_to_stop: list[int] = []  # signals so far
_conditions: list[Callable[[], None]] = []  # each raises where this process may not go on


@contextlib.contextmanager
def stopped_gently() -> Iterator[threading.Event]:
    """Gives an event that is set when the process is asked to stop, by Ctrl-C or SIGTERM; asked again, it stops at once.

    What was asked after the last look at the event is remembered for `heed`.
    """
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        _asked_to_stop.append(number)
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop  # handlers can be set in the main thread alone
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_when_asked() -> None:
    """Ends this process at once on Ctrl-C and SIGTERM: for its start, when it has begun nothing.

    A KeyboardInterrupt could be lost there, for imports run callbacks in which Python drops what is raised.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, f"{STOPPED}\n".encode())  # not by a stream, which may be in the middle of another line
    os._exit(STATUS)


def leave_if_stopped(status: int) -> None:
    """Ends this process where its run was stopped: threads of Beam's may wait, without end, for workers that are gone.

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
    """Lets `heed` make sure of something else too.

    Args:
      condition: raises where this process may not go on.
    """
    _conditions.append(condition)
    try:
        yield
    finally:
        _conditions.remove(condition)


def asked() -> bool:
    """Tells whether this process was asked to stop; what fails then may have failed for that, as other processes did."""
    return bool(_asked_to_stop)


def heed() -> None:
    """Stops a run that was asked to, or may not go on; said before each node, and before anything is published.

    Raises:
      KeyboardInterrupt: where one came before and was lost, as Python drops what is raised in a finalizer or a callback.
      UserError: where a condition does not hold any more.
    """
    if asked():
        raise KeyboardInterrupt
    for condition in _conditions:
        condition()
