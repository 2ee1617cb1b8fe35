"""The state of a node of the DAG, in one word."""

from enum import StrEnum


class State(StrEnum):
    """What a runner reports about a node as it runs, and what the metadata store says about it later."""

    STARTED = "started"
    RUNNING = "running"  # in the store; stays that way for a node that was killed
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
