"""Checkpoints: the state of a training on disk, from which an interrupted one resumes as if nothing had happened.

A checkpoint is one NumPy .npz file, written aside and renamed. It is a zip file, whose checksums reveal damage, and is read
without pickle. The two latest are kept, so that if the last one is damaged, there is another.
"""

import json
import logging
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from graftline.base.paths import aside, in_use

KEPT = 2
POSITION = "position"  # the member that holds everything except the arrays, as JSON

Epoch = dict[str, float]  # the record of one epoch


@dataclass
class Position:
    """How far a training has come.

    Attributes:
      phase: number of the phase.
      epoch: number of finished epochs of the phase.
      step: number of finished steps of the current epoch.
      logs: means over those steps, by metric.
      epochs: the record of each finished epoch of the phase.
      phases: the record of each finished phase.
    """

    phase: int = 0
    epoch: int = 0
    step: int = 0
    logs: dict[str, float] = field(default_factory=dict)
    epochs: list[Epoch] = field(default_factory=list)
    phases: list[dict[str, Any]] = field(default_factory=list)

    def next_step(self, step: int, means: dict[str, float]) -> None:
        """Advances to a step of the epoch; the means are those up to it."""
        self.step, self.logs = step, means

    def next_epoch(self, record: Epoch) -> None:
        """Advances to the start of the next epoch, and keeps the record of the finished one."""
        self.epochs.append(record)
        self.epoch, self.step, self.logs = self.epoch + 1, 0, {}

    def finished(self) -> list[tuple[int, Epoch]]:
        """Returns the phase number and the record of each finished epoch, of all phases."""
        before = [(phase["phase"], epoch) for phase in self.phases for epoch in phase["epochs"]]
        return before + [(self.phase, epoch) for epoch in self.epochs]


def rank(epoch: Epoch) -> tuple[float, float]:
    """Returns a key that is greater for a better epoch: higher validation accuracy first, then lower validation loss."""
    return epoch["val_accuracy"], -epoch["val_loss"]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training.

    Attributes:
      folder: its name depends on everything that the training depends on.
      used: folders that the training reads; each checkpoint touches them, so that they are not pruned.
    """

    folder: Path
    used: Sequence[Path] = ()

    def save(self, position: Position, values: Sequence[keras.Variable | np.ndarray]) -> Path:
        """Writes a checkpoint, removes all but the latest ones, and returns its file.

        The same training may run in another process, whose checkpoints are as good as these.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{position.phase}-{position.epoch:05}-{position.step:08}.npz"
        arrays: dict[str, Any] = {f"{index:05}": np.asarray(value) for index, value in enumerate(values)}
        arrays[POSITION] = np.array(json.dumps(asdict(position)))
        written = aside(path)
        try:
            with written.open("wb") as file:
                np.savez(file, **arrays)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            written.unlink(missing_ok=True)  # it takes up space, and the disk may be full
            raise
        written.replace(path)
        for folder in self.used:
            os.utime(folder)
        for old in [*self._files()[:-KEPT], *self._abandoned()]:
            old.unlink(missing_ok=True)  # the same training in another process may have removed it
        return path

    def latest(self) -> tuple[Position, list[np.ndarray]] | None:
        """Returns the latest sound checkpoint, with its arrays in the order of the values; None if there is none.

        Damaged ones are reported and removed.
        """
        for path in reversed(self._files()):
            try:
                with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
                    arrays = [members[name] for name in sorted(members.files) if name != POSITION]
                    return Position(**json.loads(str(members[POSITION]))), arrays
            except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
                reason = str(error).rstrip(".")
                logging.getLogger("absl").warning(
                    "Checkpoint %s is damaged (%s): it is removed, and the previous one is used.", path, reason
                )
                path.unlink(missing_ok=True)  # another worker may have removed it
        return None

    def remove(self) -> None:
        """Removes all checkpoints of a finished training; the folder stays, as another process may still write to it."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _abandoned(self) -> list[Path]:
        return [path for path in self.folder.glob("*.tmp") if not in_use(path)]

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.npz"))


def restore(variables: Sequence[keras.Variable], arrays: Sequence[np.ndarray]) -> None:
    """Assigns a checkpoint's arrays to variables, which match in number and shapes."""
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
