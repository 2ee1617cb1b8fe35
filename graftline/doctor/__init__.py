"""Looks at this machine and says what is wrong, and what to do about it: `graftline doctor`.

Each check stands alone: what one trips over is its finding, and the others go on. Runs on any Python from 3.8 on and imports
the standard library alone until a check needs more, for the environment may be what is broken.
"""

from __future__ import annotations

from typing import NamedTuple

from graftline.base.paths import IS_CHECKOUT

GOOD, WARNING, BAD = "✔", "!", "✘"
SET_UP = (
    "`make run` sets up the environment; `rm -rf .venv` before it to do so from scratch"
    if IS_CHECKOUT
    else "install Graftline's wheel again, with its requirements, in a new environment"
)


class Finding(NamedTuple):
    """One line of what was found."""

    mark: str  # GOOD, WARNING or BAD
    what: str
    value: str
    cure: str = ""
