"""Fits the temperature that logits are divided by, so that probabilities are right as often as they say.

See C. Guo et al., On Calibration of Modern Neural Networks, 2017. It is one number, fitted on the validation split, and
changes no answer: the most probable class stays the same.
"""

import math

import numpy as np
from scipy import optimize, special

BOUNDS = (0.05, 20.0)


def fit(labels: np.ndarray, logits: np.ndarray) -> float:
    """Returns the temperature at which logits have the lowest log loss.

    Part of each label is spread over all classes, 1 / (examples + 2) of it. Otherwise the lowest temperature would be best
    whenever the network has all of a few images right (J. Platt, Probabilistic Outputs for Support Vector Machines, 1999).

    Args:
      labels: true classes, int64 [examples].
      logits: float [examples, 1 or classes]; one logit stands for two classes.
    """
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    spread = 1 / (len(labels) + 2)

    def loss(logarithm: float) -> float:
        found = special.log_softmax(logits.astype(float) / math.exp(logarithm), axis=1)
        own = found[np.arange(len(labels)), labels]
        return -float((1 - spread) * own.mean() + spread * found.mean())

    return math.exp(optimize.minimize_scalar(loss, bounds=np.log(BOUNDS), method="bounded").x)
