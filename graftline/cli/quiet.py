"""Keeps standard error for what matters: TensorFlow talks as it starts, before its own log level counts."""

import contextlib
import os
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Drops what this process, its C++ libraries too, writes to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def import_tensorflow() -> None:
    """Imports TensorFlow, and lets it look for GPUs, without a word of it."""
    with silenced():
        import tensorflow as tf

        tf.config.list_physical_devices()
