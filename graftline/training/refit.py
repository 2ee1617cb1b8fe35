"""Trains once more, on training and validation images together, once validation has chosen how.

Validation images are only needed to choose. A small dataset has none to spare, so the chosen phases then run again from the
start on all of them, as scikit-learn's searches do with `refit`. The test split still measures the result.
"""

import dataclasses

import keras
import numpy as np

from graftline.artifacts.examples import TEST, TRAIN, VALIDATION
from graftline.settings.training import Training
from graftline.training import checkpoints
from graftline.training.checkpoints import Checkpoints, Position
from graftline.training.phases import Run


def run(chosen: Run, initial: list[np.ndarray], saved: Checkpoints) -> int:
    """Repeats the phases up to the one whose weights were chosen.

    The network ends with the new weights; after fine-tuning, with the mean of the chosen and the new ones. Networks that are
    fine-tuned from the same weights can be averaged, and their mean varies less: M. Wortsman et al., Model soups, 2022.

    Args:
      chosen: a finished training, whose validation split has all the views of its training split.
      initial: the network's variables before that training.
      saved: the checkpoints of this one.

    Returns:
      The number of images that it learned from.

    Raises:
      KeyboardInterrupt: if the process was asked to stop; a checkpoint is written first.
      UserError: if training diverges.
    """
    learnt = chosen.splits[TRAIN].joined(chosen.splits[VALIDATION])
    print(f"Training again, on all {learnt.examples:,} training and validation images.", flush=True)
    again = dataclasses.replace(
        chosen,
        splits={TRAIN: learnt, TEST: chosen.splits[TEST]},
        training=_repeated(chosen),
        saved=saved,
        log_dir=f"{chosen.log_dir}/refit",
        position=Position(),
        optimizer_states={},
        best=[],
    )
    variables, before = again.variables(), [variable.numpy() for variable in again.variables()]
    checkpoints.restore(variables, initial)
    again.run()
    if _is_fine_tuned(chosen):
        checkpoints.restore(variables, [_mean(*pair) for pair in zip(before, variables, strict=True)])
    return learnt.examples


def _is_fine_tuned(chosen: Run) -> bool:
    return chosen.position.phases[-1]["weights_of"]["phase"] == 2


def _mean(before: np.ndarray, variable: keras.Variable) -> np.ndarray:
    """Returns the mean of weights; the state of dropout, which is whole numbers, stays."""
    value = variable.numpy()
    return (before + value) / 2 if np.issubdtype(value.dtype, np.floating) else value


def _repeated(chosen: Run) -> Training:
    """Returns the settings without phase 2 if the weights of phase 1 were chosen."""
    training = chosen.training.model_copy(update={"export": "last"})
    if _is_fine_tuned(chosen):
        return training
    return training.model_copy(update={"phase_2": training.phase_2.model_copy(update={"epochs": 0})})
