"""Runs a program in a process that kills itself: `python -m tests.killed PLACE before|after|instead [MODULE ARGUMENT …]`.

A place is a function, such as `components.example_gen.executor:_finish`; the program is `pipeline` if none is given.

The kill is a real SIGKILL, sent when a function is called or when it returns; a timer would hit a different place each time.
With `instead` nothing is killed: the function fails.
"""

import functools
import importlib
import os
import runpy
import signal
import sys
from collections.abc import Callable
from typing import Any


def kill_at(place: str, when: str) -> None:
    """Replaces a function with one that kills this process.

    Args:
      place: module and name, as in `components.pusher.executor:PusherExecutor.Do`.
      when: `before` or `after` the function does its work; with `instead` it fails and nothing is killed.
    """
    module, _, name = place.partition(":")
    *owners, last = name.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    setattr(owner, last, _killing(getattr(owner, last), when))


def _killing(function: Callable[..., Any], when: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def killing(*arguments: Any, **options: Any) -> None:
        if when == "instead":
            raise RuntimeError("broken on purpose")
        if when == "after":
            function(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    return killing


if __name__ == "__main__":
    kill_at(*sys.argv[1:3])
    sys.argv = sys.argv[3:] or ["pipeline"]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
