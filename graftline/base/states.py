"""How a node of the DAG stands, in one word."""

from enum import StrEnum


class State(StrEnum):
    """What a runner says of a node as it goes, and what the metadata store says of it later."""

    STARTED = "started"
    RUNNING = "running"  # in the store; of one that was killed, for ever
    DONE = "done"
    CACHED = "cached"
    FAILED = "failed"
