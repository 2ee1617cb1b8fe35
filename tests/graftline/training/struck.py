"""A training that sends itself a signal at its n-th checkpoint, after it is written or while it is; or after its n-th phase.

`python -m tests.graftline.training.struck EXAMPLES GRAPH OUTPUT after|during|late NUMBER SIGNAL`
"""

import os
import sys
from pathlib import Path
from typing import Any

from graftline.training import checkpoints, phases
from tests import tiny
from tests.graftline.training import test_phases

if __name__ == "__main__":
    examples, graph, output, moment, number, signal_number = sys.argv[1:]
    left = int(number)
    save, fsync, fit = checkpoints.Checkpoints.save, os.fsync, phases.Run._fit

    def strike() -> None:
        """Sends the signal at the n-th call."""
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), int(signal_number))

    def after(*arguments: Any) -> Path:
        """Writes a checkpoint, then sends the signal."""
        path = save(*arguments)
        strike()
        return path

    def during(file: int) -> None:
        """Flushes a file, then sends the signal before it is renamed."""
        fsync(file)
        strike()

    def late(*arguments: Any) -> None:
        """Fits a phase, then sends the signal after its last step."""
        fit(*arguments)
        strike()

    if moment == "late":
        phases.Run._fit = late  # type: ignore[assignment, method-assign]
    elif moment == "after":
        checkpoints.Checkpoints.save = after  # type: ignore[assignment, method-assign]
    else:
        os.fsync = during  # type: ignore[assignment]
    tiny.train(Path(examples), graph, Path(output), training=test_phases.TRAINING, model=test_phases.MODEL)
