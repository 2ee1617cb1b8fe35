"""Beam's arguments, for what runs on Beam without being one of TFX's Beam components: theirs are in the cache's key."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ARGS: ContextVar[tuple[str, ...]] = ContextVar("ARGS", default=())


@contextmanager
def given(args: list[str]) -> Iterator[None]:
    """Lets nodes that run within it find Beam's arguments."""
    token = ARGS.set(tuple(args))
    try:
        yield
    finally:
        ARGS.reset(token)
