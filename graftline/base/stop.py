"""What makes a process stop: Ctrl-C, SIGTERM, or that it may not go on; and how it heeds that."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_asked_to_stop: list[int] = []  # signals so far
_conditions: list[Callable[[], None]] = []  # each raises where this process may not go on


@contextlib.contextmanager
def stopped_gently() -> Iterator[threading.Event]:
    """Gives an event that is set when the process is asked to stop, by Ctrl-C or SIGTERM; asked again, it stops at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
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


def heed() -> None:
    """Stops a run that was asked to, or may not go on; said before each node, and before anything is published.

    Raises:
      KeyboardInterrupt: where one came before and was lost, as Python drops what is raised in a finalizer or a callback.
      UserError: where a condition does not hold any more.
    """
    if _asked_to_stop:
        raise KeyboardInterrupt
    for condition in _conditions:
        condition()
