"""What watches a phase of training: notes what each step gave, saves, and stops when asked to or when it diverges."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.training.checkpoints import Position

MOST_LOSS = 1e6  # guessing among a million classes costs 14: only weights that have run away give so much


class Divergence(keras.callbacks.Callback):
    """Ends a training whose loss is not a number any more, or one that no network comes back from.

    It stands before whatever writes checkpoints, so that none is written after that step. The step before may have left
    one of weights that were too large already, so all are discarded: the same training would only diverge again.

    Args:
      phase: number of the phase.
      rate: its learning rate.
      discard: removes the checkpoints of this training.
    """

    def __init__(self, phase: int, rate: float, discard: Callable[[], None]) -> None:
        super().__init__()
        self._phase = phase
        self._rate = rate
        self._discard = discard
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes which epoch it is."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss of the epoch so far."""
        self._check((logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Looks at the loss on the validation split too: only there the epoch's last step shows."""
        self._check((logs or {})["val_loss"])

    def _check(self, loss: float) -> None:
        if float(loss) <= MOST_LOSS:  # false of NaN
            return
        self._discard()
        raise UserError(
            f"Training diverged in phase {self._phase}, epoch {self._epoch}, at a rate of {self._rate:g} (the loss is "
            f"{float(loss):.3g}): set training.phase_{self._phase}.learning_rate to a lower one."
        )


class EpochLog(keras.callbacks.Callback):
    """Moves the position of a training on, step by step and epoch by epoch, and writes the curves for TensorBoard.

    Keras's own callback needs the package tensorboard, which is for reading such files; writing them takes TensorFlow alone.

    Args:
      position: of the training; nothing else moves it on within a phase.
      batch_size: examples in a batch, but for the last of an epoch.
      examples: number of examples in an epoch.
      directory: where curves are written; None writes none.
    """

    def __init__(self, position: Position, batch_size: int, examples: int, directory: str | None) -> None:
        super().__init__()
        self._position = position
        self._batch_size = batch_size
        self._examples = examples
        self._writer = tf.summary.create_file_writer(directory) if directory else tf.summary.create_noop_writer()
        self._start = 0.0
        # Steps of this epoch before it was resumed, and their means
        self._before: tuple[int, dict[str, float]] = (0, {})

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._start, self._before = time.monotonic(), (self._position.step, self._position.logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the step, and the means of the epoch up to it."""
        step = self._before[0] + batch + 1
        self._position.next_step(step, self._means(logs or {}, step))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the metrics, the seconds, validation included, and the time of day in seconds since 1970."""
        metrics = self._means(logs or {}, self._position.step)
        seconds = round(time.monotonic() - self._start, 2)
        self._position.next_epoch({"epoch": epoch + 1, **metrics, "seconds": seconds, "ended": time.time()})
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, epoch + 1, tf.compat.v1.SummaryMetadata(plugin_data=plugin))
        self._writer.flush()

    def _means(self, logs: dict[str, float], step: int) -> dict[str, float]:
        """Returns means over the epoch's steps so far, where Keras's are of those since it was resumed."""
        steps, before = self._before
        # Of the examples, for the last batch may be smaller
        part = min(steps * self._batch_size, self._examples) / min(step * self._batch_size, self._examples)
        return {
            name: part * before[name] + (1 - part) * float(value) if name in before else float(value)
            for name, value in logs.items()
        }


class Saver(keras.callbacks.Callback):
    """Saves after each epoch, every so many minutes, and when the process is asked to stop, which it then does.

    Args:
      save: writes a checkpoint.
      minutes: the most that lie between two.
      stop: set where the process is asked to stop.
      agree: says whether something is so for any of the workers, so that all save and stop at the same step.
    """

    def __init__(
        self, save: Callable[[], None], minutes: float, stop: threading.Event, agree: Callable[[bool], bool]
    ) -> None:
        super().__init__()
        self._write = save
        self._minutes = minutes
        self._stop = stop
        self._agree = agree
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Saves where it is time to, or asked for."""
        if self._agree(self._stop.is_set() or time.monotonic() - self._last > 60 * self._minutes):
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves."""
        self._save()

    def _save(self) -> None:
        self._write()
        self._last = time.monotonic()
        if self._agree(self._stop.is_set()):
            raise KeyboardInterrupt


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, or a line an epoch where there is no terminal, for epochs that are fitted one by one."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._shown = {"epochs": epochs, "verbose": 1 if sys.stdout.isatty() else 2}

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes Keras's parameters, but for the number of epochs and how much is shown."""
        super().set_params(params | self._shown)
