"""The callbacks of a training phase: they record each step, save, and stop on request or when training diverges."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.training.checkpoints import Position

SOONER = 0.1  # part of the time between two checkpoints after which the end of an epoch is worth one
MOST_LOSS = 1e6  # guessing among a million classes costs 14, so only runaway weights reach this


class Divergence(keras.callbacks.Callback):
    """Ends a training whose loss is NaN, or so high that no network recovers from it.

    It comes before the callback that writes checkpoints, so none is written after that step. An earlier checkpoint may
    already hold weights that are too large, so all are discarded: a resumed training would only diverge again.

    Args:
      phase: number of the phase.
      rate: the phase's learning rate.
      discard: removes the checkpoints of this training.
    """

    def __init__(self, phase: int, rate: float, discard: Callable[[], None]) -> None:
        super().__init__()
        self._phase = phase
        self._rate = rate
        self._discard = discard
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Records the current epoch."""
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the loss of the epoch so far."""
        self._check((logs or {})["loss"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Also checks the validation loss, if there is one: only there the effect of the epoch's last step shows."""
        self._check((logs or {}).get("val_loss", 0.0))

    def _check(self, loss: float) -> None:
        if float(loss) <= MOST_LOSS:  # False for NaN
            return
        self._discard()
        raise UserError(
            f"Training diverged in phase {self._phase}, epoch {self._epoch}, at a learning rate of {self._rate:g} (loss "
            f"{float(loss):.3g}): lower training.phase_{self._phase}.learning_rate."
        )


class EpochLog(keras.callbacks.Callback):
    """Advances the position of a training with each step and epoch, and writes the curves for TensorBoard.

    Keras's own callback needs the tensorboard package, although writing the files takes only TensorFlow.

    Args:
      position: of the training; nothing else advances it within a phase.
      batch_size: examples in a batch; the last one of an epoch may be smaller.
      examples: number of examples in an epoch.
      directory: where the curves are written; None writes none.
    """

    def __init__(self, position: Position, batch_size: int, examples: int, directory: str | None) -> None:
        super().__init__()
        self._position = position
        self._batch_size = batch_size
        self._examples = examples
        self._writer = tf.summary.create_file_writer(directory) if directory else tf.summary.create_noop_writer()
        self._start = 0.0
        # The steps of this epoch before it was resumed, and their means
        self._before: tuple[int, dict[str, float]] = (0, {})

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._start, self._before = time.monotonic(), (self._position.step, self._position.logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Records the step, and the means of the epoch so far."""
        step = self._before[0] + batch + 1
        self._position.next_step(step, self._means(logs or {}, step))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Records the metrics, the duration in seconds including validation, and the end time in seconds since 1970."""
        metrics = self._means(logs or {}, self._position.step)
        seconds = round(time.monotonic() - self._start, 2)
        self._position.next_epoch({"epoch": epoch + 1, **metrics, "seconds": seconds, "ended": time.time()})
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, epoch + 1, tf.compat.v1.SummaryMetadata(plugin_data=plugin))
        self._writer.flush()

    def _means(self, logs: dict[str, float], step: int) -> dict[str, float]:
        """Returns means over all steps of the epoch so far; Keras's cover only those since it was resumed."""
        steps, before = self._before
        # A share of the examples, not of the steps, because the last batch may be smaller
        part = min(steps * self._batch_size, self._examples) / min(step * self._batch_size, self._examples)
        return {
            name: part * before[name] + (1 - part) * float(value) if name in before else float(value)
            for name, value in logs.items()
        }


class Saver(keras.callbacks.Callback):
    """Saves every few minutes, sooner at the end of an epoch, and when the process is asked to stop, and then stops.

    Args:
      save: writes a checkpoint.
      minutes: the most time between two checkpoints.
      stop: set when the process is asked to stop.
      agree: returns whether a value is true for any worker, so that all of them save and stop at the same step.
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
        """Saves if it is time to, or if the process is asked to stop."""
        self._save_after(60 * self._minutes)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves, but not after each of many short epochs, which would spend their time on that."""
        self._save_after(SOONER * 60 * self._minutes)

    def _save_after(self, seconds: float) -> None:
        if not self._agree(self._stop.is_set() or time.monotonic() - self._last > seconds):
            return
        self._write()
        self._last = time.monotonic()
        if self._agree(self._stop.is_set()):
            raise KeyboardInterrupt


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, or one line per epoch without a terminal, for epochs that are fitted one at a time."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._shown = {"epochs": epochs, "verbose": 1 if sys.stdout.isatty() else 2}

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes Keras's parameters, except the number of epochs and the verbosity."""
        super().set_params(params | self._shown)
