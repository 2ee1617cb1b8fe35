"""The Tuner: searches the head's learning rate, then where to fine-tune from and with what rate, on cached features.

Unless the head is solved, it is searched first, in trials of phase 1 on pooled features. Given layers or rates,
the Tuner then searches fine-tuning, in trials of phase 2 that start from the best or the solved head. The search is random,
because a random search resumes as if it had never stopped. What counts is validation accuracy; the test split is not read.
"""

from pathlib import Path

import keras_tuner
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.components.tuner.component import TunerFnResult

from components.tuner.search import FINE_TUNE_AT, FINE_TUNING_RATE, HEAD_RATE, Search
from components.tuner.trials import Trials
from graftline.artifacts.examples import uri_of
from graftline.settings.training import Training, Tuning


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """Searches the head if fine-tuning is searched too, and returns the search that is left to do.

    Args:
      fn_args: TFX's arguments. `custom_config` is the Trainer's, see `run_fn`, with `tuning`, that section of the
        settings as a dictionary.

    Raises:
      UserError: if the pretrained weights or the features are not available.
    """
    config = fn_args.custom_config
    tuning = Tuning(**config["tuning"])
    trials = Trials(config, uri_of(fn_args.train_files[0]), fn_args.transform_graph_path)
    folder = Path(config["work_dir"], "tuning", trials.key)
    seed = Training(**config["training"]).seed + 1  # KerasTuner treats 0 as no seed
    head_rate = None
    if not trials.solves_head:
        head = Search(trials.head, head_space(tuning), tuning.trials, seed, folder / "head")
        if not tuning.searches_fine_tuning:
            return TunerFnResult(head, {})
        head.search()
        head.results_summary()
        head_rate = head.get_best_hyperparameters()[0].values[HEAD_RATE]
    space = fine_tuning_space(tuning, head_rate)
    return TunerFnResult(Search(trials.fine_tuning, space, tuning.trials, seed, folder / "fine_tuning"), {})


def head_space(tuning: Tuning) -> keras_tuner.HyperParameters:
    """Returns what to try for the head."""
    space = keras_tuner.HyperParameters()
    space.Float(HEAD_RATE, *tuning.head_rates, sampling="log")
    return space


def fine_tuning_space(tuning: Tuning, head_rate: float | None) -> keras_tuner.HyperParameters:
    """Returns what to try for fine-tuning, on a head that was trained with a known rate, or solved if that is None."""
    space = keras_tuner.HyperParameters()
    if head_rate is not None:
        space.Fixed(HEAD_RATE, head_rate)
    if tuning.boundaries:
        space.Choice(FINE_TUNE_AT, tuning.boundaries)
    if tuning.fine_tuning_rates:
        space.Float(FINE_TUNING_RATE, *tuning.fine_tuning_rates, sampling="log")
    return space
