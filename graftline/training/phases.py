"""The two phases of training on cached features, and how they stop and resume."""

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
import tensorflow as tf

from graftline.artifacts.examples import TEST, TRAIN, VALIDATION
from graftline.artifacts.history import taken
from graftline.base.counted import counted
from graftline.base.stop import stopped_gently
from graftline.features import on_device
from graftline.features.cache import ACTIVATION, POOLED, CachedSplit, Rows
from graftline.network import backbone, losses
from graftline.settings.training import SOLVER, Model, Phase, Training
from graftline.training import checkpoints, head
from graftline.training.callbacks import Divergence, EpochLog, Progress, Saver
from graftline.training.checkpoints import Checkpoints, Epoch, Position, rank
from graftline.training.distributed_loop import Loop
from graftline.training.optimizers import make_optimizer
from graftline.training.workers import Workers

EVALUATION_BATCH = 256


class Batches(Protocol):
    """Where a phase gets its batches."""

    def dataset(
        self, split: str, batch_size: int, seed: int | None = None, epoch: int = 0, start: int = 0
    ) -> tf.data.Dataset:
        """Returns batches of features and labels of a split; takes the arguments of `CachedSplit.dataset`."""


@dataclass(frozen=True)
class OnDisk:
    """Batches from the feature cache.

    Attributes:
      splits: features of the splits, by name.
      field: which features, `ACTIVATION` or `POOLED`.
    """

    splits: dict[str, CachedSplit]
    field: str

    def dataset(
        self, split: str, batch_size: int, seed: int | None = None, epoch: int = 0, start: int = 0
    ) -> tf.data.Dataset:
        """Returns batches of features and labels of a split; takes the arguments of `CachedSplit.dataset`."""
        return self.splits[split].dataset(self.field, batch_size, seed, epoch, start)


@dataclass(frozen=True)
class Network:
    """The parts of one network; they share layers and weights."""

    base: keras.Model
    head: keras.Model  # what phase 1 trains, on pooled features
    fine_tuned: keras.Model  # what phase 2 trains, on activations at the cut of the base


class Plan(NamedTuple):
    """What a phase trains, and on which features."""

    number: int
    phase: Phase
    trained: keras.Model
    features: str
    fine_tune_at: str | None


@dataclass
class Run:
    """A training of both phases, which resumes from the latest checkpoint if there is one.

    Attributes:
      network: the network, trained in place.
      splits: features of the splits, by name.
      model: settings of the network.
      training: settings of the training.
      num_classes: 2 or more.
      saved: the checkpoints of this training.
      log_dir: where curves for TensorBoard are written.
      workers: the processes that train together.
      position: how far the training has come.
      optimizer_states: the optimizer's state from a checkpoint, by the number of its phase.
      best: the network's weights after the best epoch so far; empty before the first epoch, or if the last one is exported.
    """

    network: Network
    splits: dict[str, CachedSplit]
    model: Model
    training: Training
    num_classes: int
    saved: Checkpoints
    log_dir: str
    workers: Workers
    position: Position = field(default_factory=Position)
    optimizer_states: dict[int, list[np.ndarray]] = field(default_factory=dict)
    best: list[np.ndarray] = field(default_factory=list)

    def run(self) -> list[dict[str, Any]]:
        """Trains the phases that have epochs; each leaves the network ready for export, in case no other follows.

        Returns:
          For each phase its number, learning curves, which epoch's weights it left, and how accurate these are.

        Raises:
          KeyboardInterrupt: if the process was asked to stop; a checkpoint is written first.
          UserError: if training diverges; no checkpoint is left then.
        """
        self._resume()
        for plan in self._plans():
            if plan.number < self.position.phase:
                continue
            if plan.number > self.position.phase:
                self.position = Position(plan.number, phases=self.position.phases)
            self.position.phases.append(self._phase(plan))
        return self.position.phases

    def save(self, trained: keras.Model) -> None:
        """Writes a checkpoint if this worker is the chief."""
        if not self.workers.is_chief:
            return
        path = self.saved.save(self.position, [*self._variables(), *self.best, *trained.optimizer.variables])
        logging.getLogger("absl").info("Wrote checkpoint %s.", path)

    def _resume(self) -> None:
        """Restores position and network from the latest checkpoint, if there is one; keeps the rest of it for later."""
        latest = self.saved.latest()
        self.workers.check_same(self.saved.folder.name, latest and latest[0])
        if latest is None:
            return
        self.position, arrays = latest
        variables = self._variables()
        size = len(variables)
        checkpoints.restore(variables, arrays[:size])
        held_best = size if self._candidates() else 0
        phase, epoch, step = self.position.phase, self.position.epoch, self.position.step
        self.best, self.optimizer_states[phase] = arrays[size : size + held_best], arrays[size + held_best :]
        print(
            f"Resuming training: phase {phase}, after {counted(epoch, 'epoch')} and {counted(step, 'step')}.",
            flush=True,
        )

    def _variables(self) -> list[keras.Variable]:
        return [*self.network.base.variables, *self.network.head.variables]  # including the state of dropout

    def _candidates(self) -> list[tuple[int, Epoch]]:
        """Returns phase and record of each epoch so far that may become the model; empty if the last one always does."""
        if self.training.export == "best":
            return self.position.finished()
        ended = [(phase["phase"], phase["epochs"][-1]) for phase in self.position.phases]
        return ended if self.training.export == "settled" else []

    def _plans(self) -> list[Plan]:
        steps = self.splits[TRAIN].steps(self.training.batch_size)
        first, second = (
            phase.model_copy(update={"epochs": phase.passes(steps)})
            for phase in (self.training.phase_1, self.training.phase_2)
        )
        both = [
            Plan(1, self._stepped(first), self.network.head, POOLED, None),
            Plan(2, second, self.network.fine_tuned, ACTIVATION, self.model.fine_tune_at),
        ]
        return [plan for plan in both if plan.phase.epochs]

    def _stepped(self, phase: Phase) -> Phase:
        """Returns phase 1 as it runs: in one epoch if the head can be solved, with Adam if it has too many rows."""
        if phase.optimizer != SOLVER or not phase.epochs:
            return phase
        if head.is_solvable(self.splits[TRAIN]):
            return phase.model_copy(update={"epochs": 1})
        return phase.model_copy(update={"optimizer": "adam"})

    def _phase(self, plan: Plan) -> dict[str, Any]:
        """Runs one phase, and returns what `run` returns about it."""
        train = self.splits[TRAIN]
        backbone.set_trainable(self.network.base, plan.fine_tune_at)
        counts = class_weights(train, self.training, self.num_classes)
        loss = losses.loss(self.num_classes, self.training.label_smoothing, counts)
        accuracy = losses.accuracy(self.num_classes)
        batches, trained = self._placed(plan)
        # A fresh optimizer, because phase 1's moments belong to other variables
        optimizer = make_optimizer(plan.phase, train.steps(self.training.batch_size))
        trained.compile(optimizer=optimizer, loss=loss, metrics=[accuracy])
        trained.optimizer.build(trained.trainable_variables)
        if plan.number in self.optimizer_states:
            checkpoints.restore(trained.optimizer.variables, self.optimizer_states[plan.number])
        print(_header(plan, train.examples), flush=True)
        fitted = trained if self.workers.count == 1 else Loop(trained, loss, accuracy, self.workers)
        with stopped_gently() as stop:
            train_it = self._solve if plan.phase.optimizer == SOLVER else self._fit
            train_it(plan, fitted, batches, lambda: self.save(trained), stop)
            if self.workers.any(stop.is_set()):  # asked during the last step, whose checkpoint is written
                raise KeyboardInterrupt
        return self._left(plan, fitted, batches)

    def _left(self, plan: Plan, fitted: keras.Model | Loop, batches: Batches) -> dict[str, Any]:
        """Leaves the network ready for export, in case no phase follows, and returns what `run` returns about the phase."""
        phase, epoch = self._chosen()
        # Only for the report: nothing is chosen by the test split, so that the Evaluator's verdict on it stays fair
        test = fitted.evaluate(batches.dataset(TEST, EVALUATION_BATCH), verbose=0, return_dict=True)
        left = {
            "phase": plan.number,
            "epochs": self.position.epochs,
            "weights_of": {"phase": phase, "epoch": epoch["epoch"]},
            "validation_accuracy": epoch["val_accuracy"],
            "test_accuracy": test["accuracy"],
        }
        print(_footer(left), flush=True)
        return left

    def _chosen(self) -> tuple[int, Epoch]:
        """Gives the network the weights of the best epoch to export so far; returns that epoch's phase and record."""
        last, candidates = self.position.finished()[-1], self._candidates()
        if self.training.export == "settled":
            self._keep_if_best(last, candidates)
            candidates.append(last)
        if not candidates:
            return last
        checkpoints.restore(self._variables(), self.best)
        return max(candidates, key=lambda one: self._rank(one[1]))  # the first of equals, because its weights were kept

    def _rank(self, epoch: Epoch) -> tuple[float, ...]:
        """Returns a key that is greater for a better epoch; with few images, the loss says more than the accuracy."""
        return (-epoch["val_loss"],) if self.training.export == "settled" else rank(epoch)

    def _placed(self, plan: Plan) -> tuple[Batches, keras.Model]:
        """Returns the source of a phase's batches, GPU memory or the disk, and the network in the form that takes them."""
        alone = self.workers.strategy.num_replicas_in_sync == 1  # or other devices would read this one's memory
        resident = on_device.place(self.splits, plan.features) if alone else None
        if resident:
            return resident, resident.network(plan.trained)
        return OnDisk(self.splits, plan.features), plan.trained

    def _fit(
        self, plan: Plan, fitted: keras.Model | Loop, batches: Batches, save: Callable[[], None], stop: threading.Event
    ) -> None:
        """Fits epoch by epoch, so that each can start at any step."""
        batch_size, seed, train = self.training.batch_size, self.training.seed, self.splits[TRAIN]
        steps = train.steps(batch_size)
        validation = batches.dataset(VALIDATION, EVALUATION_BATCH)
        watching = self._watching(plan, save, stop)
        if self.position.step == steps:  # stopped before the epoch was validated
            self._validate(fitted, validation, watching)
        # EpochLog advances the position: after each epoch it is at the first step of the next
        while (epoch := self.position.epoch) < plan.phase.epochs and not self._is_out_of_patience():
            fitted.fit(
                batches.dataset(TRAIN, batch_size, seed, epoch, start=self.position.step),
                validation_data=validation,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,  # the dataset shuffles itself
                verbose=0,  # Progress is among the callbacks
                callbacks=[*watching, Progress(plan.phase.epochs)],
            )

    def _solve(
        self, plan: Plan, fitted: keras.Model | Loop, batches: Batches, save: Callable[[], None], stop: threading.Event
    ) -> None:
        """Solves the head, to the same weights on all workers; that is the phase's only epoch."""
        if self.position.epoch:
            return
        found = head.solve(self.splits[TRAIN], self.training.seed, self.training.class_weights == "balanced")
        self.network.head.get_layer("logits").set_weights([found.kernel, found.bias])
        print(f"Solved the head: cross-validation chose a strength of {found.strength:.2g}.", flush=True)
        learnt = fitted.evaluate(batches.dataset(TRAIN, EVALUATION_BATCH), verbose=0, return_dict=True)
        self.position.next_step(self.splits[TRAIN].steps(self.training.batch_size), learnt)
        self._validate(fitted, batches.dataset(VALIDATION, EVALUATION_BATCH), self._watching(plan, save, stop))

    def _watching(self, plan: Plan, save: Callable[[], None], stop: threading.Event) -> list[keras.callbacks.Callback]:
        """Returns the callbacks of a phase, in the order in which they must see the result of a step."""
        log_dir = f"{self.log_dir}/phase_{plan.number}" if self.workers.is_chief else None
        return [
            Divergence(plan.number, plan.phase.learning_rate, self.saved.remove),
            EpochLog(self.position, self.training.batch_size, self.splits[TRAIN].examples, log_dir),
            keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: self._keep_best()),
            Saver(save, self.training.checkpoint_minutes, stop, self.workers.any),
        ]

    def _keep_best(self) -> None:
        """Keeps the weights of the last epoch if the best one is to be exported and no earlier one was as good."""
        if self.training.export == "best":
            *before, last = self.position.finished()
            self._keep_if_best(last, before)

    def _keep_if_best(self, last: tuple[int, Epoch], before: list[tuple[int, Epoch]]) -> None:
        if all(self._rank(last[1]) > self._rank(epoch) for _, epoch in before):
            self.best = [variable.numpy() for variable in self._variables()]

    def _is_out_of_patience(self) -> bool:
        """Returns whether too many epochs of the phase have passed since its best one."""
        epochs, patience = self.position.epochs, self.training.patience
        if patience is None or not epochs:
            return False
        return len(epochs) - max(epochs, key=rank)["epoch"] >= patience

    def _validate(
        self, fitted: keras.Model | Loop, validation: tf.data.Dataset, watching: list[keras.callbacks.Callback]
    ) -> None:
        """Validates an epoch whose steps are all done, and so ends it."""
        epoch, metrics = self.position.epoch, fitted.evaluate(validation, verbose=0, return_dict=True)
        logs = self.position.logs | {f"val_{name}": value for name, value in metrics.items()}
        for callback in watching:
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, logs)


def class_weights(train: CachedSplit, training: Training, num_classes: int) -> np.ndarray | None:
    """Returns the weight of an image of each class, float [classes]; None if all weigh the same."""
    if training.class_weights == "none":
        return None
    return losses.balanced(Rows(train.views[:1], POOLED).labels, num_classes)


def _header(plan: Plan, images: int) -> str:
    phase = plan.phase
    parameters = sum(math.prod(variable.shape) for variable in plan.trained.trainable_variables)
    rate = f"{phase.optimizer} {phase.learning_rate:g} {phase.schedule}"
    if phase.optimizer == SOLVER:
        return f"Phase {plan.number}: {parameters:,} trainable parameters, solved, {images:,} images"
    epochs = counted(phase.epochs, "epoch")
    return f"Phase {plan.number}: {parameters:,} trainable parameters, {epochs}, {rate}, {images:,} images"


def _footer(left: dict[str, Any]) -> str:
    accuracies = f"validation accuracy {left['validation_accuracy']:.4f}, test {left['test_accuracy']:.4f}"
    return f"Phase {left['phase']}: {accuracies}, with the weights of {taken(left)}."
