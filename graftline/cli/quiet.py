"""Keeps TensorFlow's startup logs off standard error: it writes them before its log level applies."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Discards what this process writes to standard error, including its C++ libraries."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_tensorflow() -> None:
    """Imports TensorFlow and lets it look for GPUs, silently."""
    with silenced():
        import tensorflow as tf

        tf.config.list_physical_devices()
