"""Accuracy of a configuration over several seeds: `python -m benchmarks.recipes [--set KEY=VALUE …] [--seeds N]`.

Trains as the pipeline's Trainer does, on examples and features that are made once and shared by all seeds, and reports mean
and standard error of the accuracies. Choose recipes by the validation split; the test split is reported for the record.
"""

import argparse
import json
import os
import statistics
import time
from typing import Any

from benchmarks import common
from graftline.base.paths import PREFIX
from graftline.settings.load import load
from graftline.settings.settings import Settings


def main() -> None:
    """Trains with each seed, and reports the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="cats_vs_dogs", help="name of a configuration")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="such as training.phase_2.epochs=2")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--images", type=int, help="number of images; all by default")
    arguments = parser.parse_args()
    for change in arguments.set:
        key, value = change.split("=", 1)
        os.environ[PREFIX + key.upper().replace(".", "__")] = value
    with common.prepared(arguments.config, arguments.images) as data:
        runs = [_train(data, seed) for seed in range(arguments.seeds)]
    validation, test, seconds = zip(*runs, strict=True)
    common.tell(
        "recipes",
        config=arguments.config,
        changes=arguments.set,
        validation=_summary(validation),
        test=_summary(test),
        seconds=[round(value) for value in seconds],
        images=arguments.images or "all",
    )


def _train(data: common.Prepared, seed: int) -> tuple[float, float, float]:
    """Returns accuracies on validation and test, in percent, and the seconds of the Trainer."""
    loaded: Settings = load()
    training = loaded.training.model_copy(update={"seed": seed})
    start = time.monotonic()
    folder = f"{data.settings.run.root}/seed_{seed}"
    history = common.train(data, loaded.model_copy(update={"training": training}), folder)
    seconds = time.monotonic() - start
    last = history["phases"][-1]
    print(f"seed {seed}: {json.dumps({name: value for name, value in last.items() if name != 'epochs'})}", flush=True)
    return 100 * last["validation_accuracy"], 100 * last["test_accuracy"], seconds


def _summary(values: tuple[float, ...]) -> dict[str, Any]:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {
        "mean": round(statistics.mean(values), 2),
        "standard_error": error and round(error, 2),
        "all": [round(value, 2) for value in values],
    }


if __name__ == "__main__":
    main()
