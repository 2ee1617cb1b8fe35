"""The trials of the Tuner: the head or the upper layers, trained for a few epochs."""

import functools
import hashlib
import json
from typing import Any

import keras
import numpy as np
import tensorflow_transform as tft

from components.tuner.search import HEAD_RATE, Values
from graftline.artifacts.examples import TRAIN, VALIDATION, read_label_names
from graftline.base.code import identity
from graftline.features.build import cached_splits
from graftline.features.cache import ACTIVATION, POOLED, CachedSplit
from graftline.network import backbone, losses, weights
from graftline.settings.training import SOLVER, Model, Phase, Training, Tuning
from graftline.training import head as solver
from graftline.training import phases
from graftline.training.optimizers import make_optimizer
from graftline.training.precision import choose_arithmetic, precision, with_values

SLICE = 4096  # images that an epoch of fine-tuning trains on, different ones in each

SPLITS = (TRAIN, VALIDATION)


class Trials:
    """Trains the head or the upper layers for a few epochs, with given values, always from the same start."""

    def __init__(self, config: dict[str, Any], examples_uri: str, transform_graph_path: str) -> None:
        """Builds the pretrained backbone.

        Args:
          config: `custom_config` of the Tuner.
          examples_uri: folder of the splits' tf.Examples.
          transform_graph_path: folder of the Transform graph.
        """
        model, training = Model(**config["model"]), Training(**config["training"])
        pretrained = weights.resolve(model.backbone, model.image_size, model.weights)
        keras.utils.set_random_seed(training.seed)
        self._config = config
        self._epochs = Tuning(**config["tuning"]).epochs
        self._arithmetic = choose_arithmetic(training.mixed_precision)
        with precision(self._arithmetic):
            self._base = backbone.build(model, pretrained.path if pretrained else None)
        self._pretrained = self._base.get_weights()
        self._classes = len(read_label_names(examples_uri))
        transform = tft.TFTransformOutput(transform_graph_path)
        # Called only while the backbone has its pretrained weights, because trials change them
        self._splits = functools.cache(
            lambda at: cached_splits(self._base, at, config, examples_uri, transform, names=SPLITS)
        )
        self._trained_head = functools.cache(self._train_head)
        self._solved_head = functools.cache(self._solve_head)
        kept_in = self._splits(self._cut(model))[TRAIN].views[0].parent.name
        made_of = [kept_in, config, identity(__name__)]
        self.key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def solves_head(self) -> bool:
        """Whether the Trainer will solve the head, instead of training it with a learning rate."""
        model, training = self._settings({})
        return training.phase_1.optimizer == SOLVER and solver.is_solvable(self._splits(self._cut(model))[TRAIN])

    def head(self, values: Values) -> float:
        """Returns the validation accuracy of a head trained with the learning rate HEAD_RATE."""
        return self._trained_head(values[HEAD_RATE])[1]

    def fine_tuning(self, values: Values) -> float:
        """Returns the validation accuracy after fine-tuning, with values of `fine_tuning_space`."""
        head_weights = self._solved_head() if self.solves_head else self._trained_head(values[HEAD_RATE])[0]
        self._base.set_weights(self._pretrained)
        model, training = self._settings(values)
        at = self._cut(model)
        splits = self._splits(at)
        with precision(self._arithmetic):
            head = self._new_head(model, training)
            head.set_weights(head_weights)
            trained = backbone.fine_tuned(self._base, head, model, at, self._arithmetic)
            backbone.set_trainable(self._base, model.fine_tune_at)
            return self._fit(trained, splits, ACTIVATION, training.phase_2, training)

    def _train_head(self, rate: float) -> tuple[list[np.ndarray], float]:
        """Returns the weights of a head trained with a learning rate, and its validation accuracy."""
        model, training = self._settings({HEAD_RATE: rate})
        self._base.set_weights(self._pretrained)
        with precision(self._arithmetic):
            head = self._new_head(model, training)
            accuracy = self._fit(head, self._splits(self._cut(model)), POOLED, training.phase_1, training)
        return head.get_weights(), accuracy

    def _solve_head(self) -> list[np.ndarray]:
        """Returns the weights of the head as the Trainer's phase 1 solves it."""
        model, training = self._settings({})
        self._base.set_weights(self._pretrained)
        train = self._splits(self._cut(model))[TRAIN]
        found = solver.solve(train, training.seed, training.class_weights == "balanced")
        return [found.kernel, found.bias]

    def _settings(self, values: Values) -> tuple[Model, Training]:
        """Returns the settings with other values, and phases as long as a trial."""
        lengths = {f"training.phase_{number}.epochs": self._epochs for number in (1, 2)}
        config = with_values(self._config, values | lengths)
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
        train, validation = splits[TRAIN], splits[VALIDATION]
        steps = train.steps(training.batch_size)
        if field == ACTIVATION:
            steps = min(steps, -(-SLICE // training.batch_size))
        counts = phases.class_weights(train, training, self._classes)
        loss = losses.loss(self._classes, training.label_smoothing, counts)
        accuracy = losses.accuracy(self._classes)
        trained.compile(optimizer=make_optimizer(phase, steps), loss=loss, metrics=[accuracy])
        for epoch in range(phase.epochs):
            batches = train.dataset(field, training.batch_size, training.seed, epoch).take(steps)
            trained.fit(batches, shuffle=False, verbose=0)  # the dataset shuffles itself
        held_out = validation.dataset(field, phases.EVALUATION_BATCH)
        return float(trained.evaluate(held_out, verbose=0, return_dict=True)["accuracy"])
