"""Checks this machine and prints what is wrong and how to fix it: `graftline doctor`.

Checks are independent: an error in one becomes its finding, and the others go on. Runs on any Python from 3.8 on, and
imports only the standard library until a check needs more, because the environment may be what is broken.
"""

from __future__ import annotations

from typing import NamedTuple

from graftline.base.paths import IS_CHECKOUT

GOOD, WARNING, BAD = "✔", "!", "✘"
SET_UP = (
    "`make run` sets up the environment; to start from scratch, run `rm -rf .venv` before it"
    if IS_CHECKOUT
    else "install Graftline's wheel again, with its requirements, in a new environment"
)


class Finding(NamedTuple):
    """One line of the result."""

    mark: str  # GOOD, WARNING or BAD
    what: str
    value: str
    cure: str = ""
