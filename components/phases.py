"""The two phases of training, on cached features, and how they are stopped and resumed."""

import contextlib
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from components import backbone, checkpoints, features
from components.checkpoints import Checkpoints, Position
from components.feature_cache import ACTIVATION, POOLED, CachedSplit
from settings import Model, Phase, Training

EVALUATION_BATCH = 256
WARMUP = 0.05  # part of a cosine schedule's steps

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


@dataclass(frozen=True)
class Network:
    """The parts of one network; they share layers and weights."""

    base: keras.Model
    head: keras.Model  # what phase 1 trains, on pooled features
    fine_tuned: keras.Model  # what phase 2 trains, on activations where the base is cut


class Plan(NamedTuple):
    """What a phase trains and on what."""

    number: int
    phase: Phase
    trained: keras.Model
    features: str
    fine_tune_at: str | None


@dataclass
class Run:
    """A training of both phases, from the latest checkpoint on where there is one.

    Attributes:
      network: what is trained, in place.
      splits: features of the splits, by name.
      model: its settings.
      training: settings of the training.
      num_classes: 2 or more.
      saved: where its checkpoints are.
      log_dir: where curves for TensorBoard are written.
      position: where it stands.
    """

    network: Network
    splits: dict[str, CachedSplit]
    model: Model
    training: Training
    num_classes: int
    saved: Checkpoints
    log_dir: str
    position: Position = field(default_factory=Position)

    def run(self) -> list[dict[str, Any]]:
        """Trains the phases that have epochs.

        Returns:
          For each its number, learning curves and accuracies.

        Raises:
          KeyboardInterrupt: when the process was asked to stop, after a checkpoint was written.
        """
        moments = self._resume()
        for plan in self._plans():
            if plan.number < self.position.phase:
                continue
            if plan.number > self.position.phase:
                self.position, moments = Position(plan.number, phases=self.position.phases), []
            self.position.phases.append(self._phase(plan, moments))
        return self.position.phases

    def save(self, trained: keras.Model) -> None:
        """Writes a checkpoint."""
        path = self.saved.save(self.position, [*self._variables(), *trained.optimizer.variables])
        logging.getLogger("absl").info("Checkpoint %s written.", path)

    def _resume(self) -> list[np.ndarray]:
        """Restores position and network, and returns what was saved of the optimizer."""
        found = self.saved.latest()
        if found is None:
            return []
        self.position, arrays = found
        variables = self._variables()
        checkpoints.restore(variables, arrays[: len(variables)])
        phase, epoch, step = self.position.phase, self.position.epoch, self.position.step
        print(f"Going on where training stopped: phase {phase}, after {epoch} epochs and {step} steps.", flush=True)
        return arrays[len(variables) :]

    def _variables(self) -> list[keras.Variable]:
        return [*self.network.base.variables, *self.network.head.variables]  # with the state of dropout

    def _plans(self) -> list[Plan]:
        both = [
            Plan(1, self.training.phase_1, self.network.head, POOLED, None),
            Plan(2, self.training.phase_2, self.network.fine_tuned, ACTIVATION, self.model.fine_tune_at),
        ]
        return [plan for plan in both if plan.phase.epochs]

    def _phase(self, plan: Plan, moments: list[np.ndarray]) -> dict[str, Any]:
        """Runs one phase and returns its number, learning curves and accuracies."""
        trained, train = plan.trained, self.splits[features.TRAIN]
        backbone.set_trainable(self.network.base, plan.fine_tune_at)
        trained.compile(
            # A fresh one: phase 1's moments belong to other variables
            optimizer=_optimizer(plan.phase, train.steps(self.training.batch_size)),
            loss=backbone.loss(self.num_classes, self.training.label_smoothing),
            metrics=[backbone.accuracy(self.num_classes)],
        )
        trained.optimizer.build(trained.trainable_variables)
        if moments:
            checkpoints.restore(trained.optimizer.variables, moments)
        print(_header(plan, train.examples), flush=True)
        with stopped_gently() as stop:
            self._fit(plan, stop)
        # For the report alone: nothing is chosen by the test split, so that the Evaluator's verdict on it stays fair.
        test = self.splits[features.TEST].dataset(plan.features, EVALUATION_BATCH)
        test_accuracy = trained.evaluate(test, verbose=0, return_dict=True)["accuracy"]
        validation_accuracy = self.position.epochs[-1]["val_accuracy"]
        print(
            f"Phase {plan.number}: validation accuracy {validation_accuracy:.4f}, test {test_accuracy:.4f}.", flush=True
        )
        accuracies = {"validation_accuracy": validation_accuracy, "test_accuracy": test_accuracy}
        return {"phase": plan.number, "epochs": self.position.epochs, **accuracies}

    def _fit(self, plan: Plan, stop: threading.Event) -> None:
        """Fits epoch by epoch, so that each can start at any step."""
        batch_size, seed = self.training.batch_size, self.training.seed
        validation = self.splits[features.VALIDATION].dataset(plan.features, EVALUATION_BATCH)
        log, saver = EpochLog(self, f"{self.log_dir}/phase_{plan.number}"), Saver(self, plan.trained, stop)
        if self.position.step == self.splits[features.TRAIN].steps(
            batch_size
        ):  # stopped before the epoch was validated
            found = plan.trained.evaluate(validation, verbose=0, return_dict=True)
            log.on_epoch_begin(self.position.epoch)
            log.on_epoch_end(self.position.epoch, self.position.logs | {f"val_{name}": found[name] for name in found})
            saver.on_epoch_end(self.position.epoch)
        for epoch in range(self.position.epoch, plan.phase.epochs):
            plan.trained.fit(
                self.splits[features.TRAIN].dataset(plan.features, batch_size, seed, epoch, self.position.step),
                validation_data=validation,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,  # the dataset shuffles itself
                verbose=0,  # Progress is among the callbacks
                callbacks=[log, saver, Progress(plan.phase.epochs)],
            )


def _optimizer(phase: Phase, steps: int) -> keras.optimizers.Optimizer:
    rate: float | keras.optimizers.schedules.LearningRateSchedule = phase.learning_rate
    if phase.schedule == "cosine":
        total = phase.epochs * steps
        warmup = math.ceil(WARMUP * total)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(total - warmup, 1), warmup_target=phase.learning_rate, warmup_steps=warmup
        )
    return OPTIMIZERS[phase.optimizer](learning_rate=rate)


def _header(plan: Plan, pictures: int) -> str:
    phase = plan.phase
    parameters = sum(math.prod(variable.shape) for variable in plan.trained.trainable_variables)
    rate = f"{phase.optimizer} {phase.learning_rate:g} {phase.schedule}"
    return f"Phase {plan.number}: {parameters:,} trainable parameters, {phase.epochs} epochs, {rate}, {pictures:,} pictures"


class EpochLog(keras.callbacks.Callback):
    """Notes in the run's position what each step and epoch gave, and writes the curves for TensorBoard.

    Keras's own callback needs the package tensorboard, which is for reading such files; writing them takes TensorFlow alone.
    """

    def __init__(self, run: Run, directory: str) -> None:
        super().__init__()
        self._run = run
        self._writer = tf.summary.create_file_writer(directory)
        self._start = 0.0
        self._before: tuple[int, dict[str, float]] = (
            0,
            {},
        )  # steps of this epoch before it was resumed, and their means

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        position = self._run.position
        self._start, self._before = time.monotonic(), (position.step, position.logs)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the step, and the means of the epoch up to it."""
        step = self._before[0] + batch + 1
        self._run.position.step, self._run.position.logs = step, self._means(logs or {}, step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the metrics, the seconds, validation included, and the time of day in seconds since 1970."""
        position = self._run.position
        metrics = self._means(logs or {}, position.step)
        seconds = round(time.monotonic() - self._start, 2)
        position.epochs.append({"epoch": epoch + 1, **metrics, "seconds": seconds, "ended": time.time()})
        position.epoch, position.step, position.logs = epoch + 1, 0, {}
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, epoch + 1, tf.compat.v1.SummaryMetadata(plugin_data=plugin))
        self._writer.flush()

    def _means(self, logs: dict[str, float], step: int) -> dict[str, float]:
        """Returns means over the epoch's steps so far, where Keras's are of those since it was resumed."""
        steps, before = self._before
        batch_size, examples = self._run.training.batch_size, self._run.splits[features.TRAIN].examples
        # Of the examples, for the last batch may be smaller
        part = min(steps * batch_size, examples) / min(step * batch_size, examples)
        return {
            name: part * before[name] + (1 - part) * float(value) if name in before else float(value)
            for name, value in logs.items()
        }


class Saver(keras.callbacks.Callback):
    """Writes a checkpoint after each epoch, every `checkpoint_minutes`, and when the process is asked to stop."""

    def __init__(self, run: Run, trained: keras.Model, stop: threading.Event) -> None:
        super().__init__()
        self._run = run
        self._trained = trained
        self._stop = stop
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Saves where it is time to, or asked for."""
        if self._stop.is_set() or time.monotonic() - self._last > 60 * self._run.training.checkpoint_minutes:
            self._save()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Saves."""
        self._save()

    def _save(self) -> None:
        self._run.save(self._trained)
        self._last = time.monotonic()
        if self._stop.is_set():
            raise KeyboardInterrupt


class Progress(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, or a line an epoch where there is no terminal, for epochs that are fitted one by one."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self._shown = {"epochs": epochs, "verbose": 1 if sys.stdout.isatty() else 2}

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes Keras's parameters, but for the number of epochs and how much is shown."""
        super().set_params(params | self._shown)


@contextlib.contextmanager
def stopped_gently() -> Iterator[threading.Event]:
    """Gives an event that is set when the process is asked to stop, by Ctrl-C or SIGTERM; asked again, it stops at once."""
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop  # handlers can be set in the main thread alone
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
