"""Beam's arguments for code that runs on Beam outside TFX's Beam components, whose arguments are in the cache key."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ARGS: ContextVar[tuple[str, ...]] = ContextVar("ARGS", default=())


@contextmanager
def given(args: list[str]) -> Iterator[None]:
    """Makes Beam's arguments available to nodes that run within this context."""
    token = ARGS.set(tuple(args))
    try:
        yield
    finally:
        ARGS.reset(token)
