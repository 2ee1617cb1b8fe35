"""A random search that resumes where it was stopped."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import TrialStatus

# Names of settings, so that the Trainer knows which ones to replace
HEAD_RATE = "training.phase_1.learning_rate"
FINE_TUNING_RATE = "training.phase_2.learning_rate"
FINE_TUNE_AT = "model.fine_tune_at"

OBJECTIVE = keras_tuner.Objective("validation_accuracy", "max")

Values = dict[str, Any]  # values of settings, by name


class Search(BaseTuner):
    """A random search that resumes where it was stopped, and prints a line for each trial."""

    def __init__(
        self, score: Callable[[Values], float], space: keras_tuner.HyperParameters, trials: int, seed: int, folder: Path
    ) -> None:
        """Sets up the search, or restores its progress.

        Args:
          score: trains with values of the space, and returns the validation accuracy.
          space: what to try.
          trials: maximum number of trials; there are fewer if everything was tried.
          seed: seed for the choice of values, 1 or more.
          folder: where the search is stored.
        """
        oracle = keras_tuner.oracles.RandomSearchOracle(OBJECTIVE, trials, seed, space, False, False)
        oracle.verbose = 0  # `run_trial` prints the trials
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
        # KerasTuner's own method prints an error and goes on to the next trial
        self._run_and_update_trial(trial, *arguments, **options)
        trial.status = TrialStatus.COMPLETED

    def search_space_summary(self, extended: bool = False) -> None:
        """Prints nothing, because each trial prints its values."""

    def results_summary(self, num_trials: int = 1) -> None:
        """Prints and logs the best trial."""
        best = self.oracle.get_best_trials(1)[0]
        done = len(self.oracle.end_order)
        told = f"Tuner: {describe(best.hyperparameters.values)}: validation {best.score:.4f} after {done} trials"
        print(told, flush=True)
        logging.getLogger("absl").info(told)


def describe(values: Values) -> str:
    """Returns the values of a trial in words."""
    texts = {
        HEAD_RATE: "head learning rate {:.2g}",
        FINE_TUNE_AT: "fine-tuning at {}",
        FINE_TUNING_RATE: "fine-tuning rate {:.2g}",
    }
    return ", ".join(text.format(values[name]) for name, text in texts.items() if name in values)
