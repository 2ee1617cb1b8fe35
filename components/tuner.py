"""The Tuner: searches the head's learning rate, then where to fine-tune from and with what rate, on cached features.

First the head, in trials of phase 1 on pooled features; then, where a range or layers are given for it, fine-tuning, in
trials of phase 2 that start from the best head. Random search, for it goes on where it was stopped as if nothing had
happened. What counts is validation accuracy; the test split is not read.
"""

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow_transform as tft
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from components import backbone, features, phases, trainer, weights
from components.feature_cache import ACTIVATION, POOLED, CachedSplit
from components.feature_pass import cached_splits
from settings import Model, Phase, Training, Tuning

# As the settings are named, so that the Trainer knows what to put in their place
HEAD_RATE = "training.phase_1.learning_rate"
FINE_TUNING_RATE = "training.phase_2.learning_rate"
FINE_TUNE_AT = "model.fine_tune_at"

SLICE = 4096  # pictures an epoch of fine-tuning trains on, other ones in each
OBJECTIVE = keras_tuner.Objective("validation_accuracy", "max")
SPLITS = (features.TRAIN, features.VALIDATION)

Values = dict[str, Any]  # of settings, by name


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Searches the head, where fine-tuning is searched too; returns the search that is left to do.

    Args:
      fn_args: TFX's arguments. `custom_config` is the Trainer's, see `trainer.run_fn`, and `tuning`, that section of the
        settings as a dictionary.

    Raises:
      settings.UserError: where the pretrained weights or the features cannot be had.
    """
    config = fn_args.custom_config
    tuning = Tuning(**config["tuning"])
    trials = Trials(config, fn_args.train_files[0].rsplit("/", 2)[0], fn_args.transform_graph_path)
    folder = Path(config["work_dir"], "tuning", trials.key)
    seed = Training(**config["training"]).seed + 1  # KerasTuner takes 0 for none
    head = Search(trials.head, head_space(tuning), tuning.trials, seed, folder / "head")
    if not (tuning.boundaries or tuning.fine_tuning_rates):
        return TunerFnResult(head, {})
    head.search()
    head.results_summary()
    best = head.get_best_hyperparameters()[0].values
    space = fine_tuning_space(tuning, best[HEAD_RATE])
    return TunerFnResult(Search(trials.fine_tuning, space, tuning.trials, seed, folder / "fine_tuning"), {})


def head_space(tuning: Tuning) -> keras_tuner.HyperParameters:
    """Returns what is tried for the head."""
    space = keras_tuner.HyperParameters()
    space.Float(HEAD_RATE, *tuning.head_rates, sampling="log")
    return space


def fine_tuning_space(tuning: Tuning, head_rate: float) -> keras_tuner.HyperParameters:
    """Returns what is tried for fine-tuning, on a head that was trained with a known rate."""
    space = keras_tuner.HyperParameters()
    space.Fixed(HEAD_RATE, head_rate)
    if tuning.boundaries:
        space.Choice(FINE_TUNE_AT, tuning.boundaries)
    if tuning.fine_tuning_rates:
        space.Float(FINE_TUNING_RATE, *tuning.fine_tuning_rates, sampling="log")
    return space


class Search(BaseTuner):
    """A random search that goes on where it was stopped, and tells each trial in a line."""

    def __init__(
        self, score: Callable[[Values], float], space: keras_tuner.HyperParameters, trials: int, seed: int, folder: Path
    ) -> None:
        """Sets up the search, or reads how far it is.

        Args:
          score: trains with values of the space, and returns the validation accuracy.
          space: what is tried.
          trials: at most so many; fewer where all there is was tried.
          seed: of the choice of values, 1 or more.
          folder: where it is kept.
        """
        oracle = keras_tuner.oracles.RandomSearchOracle(OBJECTIVE, trials, seed, space, False, False)
        oracle.verbose = 0  # the trials are told here
        self._score = score
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)

    def run_trial(self, trial: Any, *arguments: Any, **options: Any) -> dict[str, float]:
        """Trains with the values of a trial, and returns its validation accuracy."""
        accuracy = self._score(trial.hyperparameters.values)
        number = int(trial.trial_id) + 1
        told = describe(trial.hyperparameters.values)
        print(f"Trial {number} of {self.oracle.max_trials}: {told}: validation {accuracy:.4f}", flush=True)
        return {OBJECTIVE.name: accuracy}

    def _try_run_and_update_trial(self, trial: Any, *arguments: Any, **options: Any) -> None:
        # KerasTuner's own prints an error and goes on to the next trial
        self._run_and_update_trial(trial, *arguments, **options)
        trial.status = TrialStatus.COMPLETED

    def search_space_summary(self, extended: bool = False) -> None:
        """Prints nothing: the trials tell what is tried."""

    def results_summary(self, num_trials: int = 1) -> None:
        """Tells the best trial, in the output and in the log."""
        best = self.oracle.get_best_trials(1)[0]
        done = len(self.oracle.end_order)
        told = f"Tuner: {describe(best.hyperparameters.values)}: validation {best.score:.4f} after {done} trials"
        print(told, flush=True)
        logging.getLogger("absl").info(told)


def describe(values: Values) -> str:
    """Says what values are tried."""
    texts = {
        HEAD_RATE: "head learning rate {:.2g}",
        FINE_TUNE_AT: "fine-tuning at {}",
        FINE_TUNING_RATE: "fine-tuning rate {:.2g}",
    }
    return ", ".join(text.format(values[name]) for name, text in texts.items() if name in values)


class Trials:
    """Trains the head or the upper layers for a few epochs, with given values, always from the same start."""

    def __init__(self, config: dict[str, Any], examples_uri: str, transform_graph_path: str) -> None:
        """Builds the pretrained base.

        Args:
          config: `custom_config` of the Tuner.
          examples_uri: folder of the splits' tf.Examples.
          transform_graph_path: of the Transform.
        """
        model, training = Model(**config["model"]), Training(**config["training"])
        pretrained = weights.resolve(model.backbone, model.image_size, model.weights)
        keras.utils.set_random_seed(training.seed)
        self._config = config
        self._epochs = Tuning(**config["tuning"]).epochs
        self._arithmetic = trainer.choose_arithmetic(training.mixed_precision)
        with trainer.precision(self._arithmetic):
            self._base = backbone.build(model, pretrained.path if pretrained else None)
        self._pretrained = self._base.get_weights()
        self._classes = len(features.read_label_names(examples_uri))
        transform = tft.TFTransformOutput(transform_graph_path)
        # Of the pretrained base: it is as it was before a trial only there
        self._splits = functools.cache(
            lambda at: cached_splits(self._base, at, config, examples_uri, transform, names=SPLITS)
        )
        self._trained_head = functools.cache(self._train_head)
        kept_in = self._splits(self._cut(model))[features.TRAIN].views[0].parent.name
        self.key = hashlib.sha256(json.dumps([kept_in, config], sort_keys=True).encode()).hexdigest()[:16]

    def head(self, values: Values) -> float:
        """Returns the validation accuracy of a head trained with the learning rate HEAD_RATE."""
        return self._trained_head(values[HEAD_RATE])[1]

    def fine_tuning(self, values: Values) -> float:
        """Returns the validation accuracy after fine-tuning, with values of `fine_tuning_space`."""
        head_weights, _ = self._trained_head(values[HEAD_RATE])
        self._base.set_weights(self._pretrained)
        model, training = self._settings(values)
        at = self._cut(model)
        splits = self._splits(at)
        with trainer.precision(self._arithmetic):
            head = self._new_head(model, training)
            head.set_weights(head_weights)
            trained = backbone.fine_tuned(self._base, head, model, at, self._arithmetic)
            backbone.set_trainable(self._base, model.fine_tune_at)
            return self._fit(trained, splits, ACTIVATION, training.phase_2, training)

    def _train_head(self, rate: float) -> tuple[list[np.ndarray], float]:
        """Returns the weights of a head trained with a learning rate, and its validation accuracy."""
        model, training = self._settings({HEAD_RATE: rate})
        self._base.set_weights(self._pretrained)
        with trainer.precision(self._arithmetic):
            head = self._new_head(model, training)
            accuracy = self._fit(head, self._splits(self._cut(model)), POOLED, training.phase_1, training)
        return head.get_weights(), accuracy

    def _settings(self, values: Values) -> tuple[Model, Training]:
        """Returns the settings with other values, and phases as long as trials are."""
        lengths = {f"training.phase_{number}.epochs": self._epochs for number in (1, 2)}
        config = trainer.with_values(self._config, values | lengths)
        return Model(**config["model"]), Training(**config["training"])

    def _new_head(self, model: Model, training: Training) -> keras.Model:
        keras.utils.set_random_seed(training.seed)
        return backbone.head(self._base, model, self._classes)

    def _cut(self, model: Model) -> str:
        return backbone.cut(self._base, model.fine_tune_at)

    def _fit(
        self, trained: keras.Model, splits: dict[str, CachedSplit], field: str, phase: Phase, training: Training
    ) -> float:
        """Trains, and returns the validation accuracy."""
        train, validation = splits[features.TRAIN], splits[features.VALIDATION]
        steps = train.steps(training.batch_size)
        if field == ACTIVATION:
            steps = min(steps, -(-SLICE // training.batch_size))
        loss = backbone.loss(self._classes, training.label_smoothing)
        accuracy = backbone.accuracy(self._classes)
        trained.compile(optimizer=phases.make_optimizer(phase, steps), loss=loss, metrics=[accuracy])
        for epoch in range(phase.epochs):
            batches = train.dataset(field, training.batch_size, training.seed, epoch).take(steps)
            trained.fit(batches, shuffle=False, verbose=0)  # the dataset shuffles itself
        held_out = validation.dataset(field, phases.EVALUATION_BATCH)
        return float(trained.evaluate(held_out, verbose=0, return_dict=True)["accuracy"])
