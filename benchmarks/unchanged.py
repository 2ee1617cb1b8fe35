"""Seconds of a run in which nothing changed: `python -m benchmarks.unchanged [--runs N]`.

Runs a small version of digits in an empty folder, and then times repeated runs, one process each, with everything cached.
Between them it times only the import of TensorFlow, which every such run needs: on a shared machine, compare with that.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import common
from graftline.base.paths import PREFIX, PROJECT
from graftline.settings.load import CONFIG_VARIABLE

SMALL = {
    "DATA__MAX_EXAMPLES": "500",
    "MODEL__IMAGE_SIZE": "64",
    "TRAINING__PHASE_1__EPOCHS": "1",
    "TRAINING__PHASE_2__EPOCHS": "0",
    "GATE__MIN_ACCURACY": "0.1",
    "GATE__MIN_TEST_EXAMPLES": "1",
}
TIMED = {
    "unchanged_run": ["-m", "graftline.cli", "run", "digits"],
    "import_tensorflow": ["-c", "import tensorflow"],
    "help": ["-m", "graftline.cli", "--help"],
}


def main() -> None:
    """Measures, and reports the median and all values of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="how often each is timed")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as root:
        environment = os.environ | _settings(root)
        for _ in range(2):  # the second run finds a model in production, which the first did not
            _seconds(TIMED["unchanged_run"], environment)
        seconds = [{name: _seconds(arguments, environment) for name, arguments in TIMED.items()} for _ in range(runs)]
    found = {name: sorted(each[name] for each in seconds) for name in TIMED}
    common.tell("unchanged", median_s={name: statistics.median(each) for name, each in found.items()}, all_s=found)


def _settings(root: str) -> dict[str, str]:
    """Returns the environment of a run that keeps everything but the weights below a folder."""
    places = {"RUN__ROOT": root, "RUN__SERVING_DIR": f"{root}/serving", "DATA__DATA_DIR": f"{root}/data"}
    return {PREFIX + key: value for key, value in (SMALL | places).items()} | {CONFIG_VARIABLE: "digits"}


def _seconds(arguments: list[str], environment: dict[str, str]) -> float:
    """Returns the seconds that a process takes, including its start and end."""
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{arguments} failed: {done.stdout}{done.stderr}")
    return round(time.monotonic() - start, 2)


if __name__ == "__main__":
    main()
