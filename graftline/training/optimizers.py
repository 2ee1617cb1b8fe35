"""The optimizers of the phases, and their learning rates from step to step."""

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from graftline.settings.training import SOLVER, Phase
from graftline.training.fused_adam import FusedAdam

WARMUP = 0.05  # share of a cosine schedule's steps
RESTART = 0.5  # how high a restart is, as a fraction of the epoch before

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": FusedAdam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
    SOLVER: FusedAdam,  # a solved head takes no steps, but one with too many rows does in the Tuner
}


class Restarts(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that starts again in each epoch, half as high each time, so that each epoch ends settled.

    See I. Loshchilov and F. Hutter, SGDR, 2017. Keras's own restarts do not warm up.

    Args:
      once: the schedule of the first epoch.
      steps: steps in an epoch.
    """

    def __init__(self, once: keras.optimizers.schedules.LearningRateSchedule, steps: int) -> None:
        self._once = once
        self._steps = steps

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate of a step."""
        step = tf.cast(step, tf.float32)
        epoch = step // self._steps
        return self._once(step - epoch * self._steps) * RESTART**epoch


def make_optimizer(phase: Phase, steps: int) -> keras.optimizers.Optimizer:
    """Returns a fresh optimizer for a phase, given the number of steps in an epoch."""
    rate: float | keras.optimizers.schedules.LearningRateSchedule = phase.learning_rate
    if phase.schedule == "cosine":
        rate = _cosine(phase.learning_rate, phase.epochs * steps)
    elif phase.schedule == "restarts":
        rate = Restarts(_cosine(phase.learning_rate, steps), steps)
    return OPTIMIZERS[phase.optimizer](learning_rate=rate)


def _cosine(highest: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    warmup = math.ceil(WARMUP * steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - warmup, 1), warmup_target=highest, warmup_steps=warmup
    )
