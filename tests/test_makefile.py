"""`make` refuses what it does not understand, and passes on what it does."""

import os
import subprocess

import pytest

from graftline.base.paths import PROJECT


def dry(*arguments: str, **exported: str) -> subprocess.CompletedProcess[str]:
    """Returns what `make` would do."""
    clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "DATA", "CONFIG")}
    command = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/.ready", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=clean | exported, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "DATA="], "DATA is empty: give a folder of photos"),
        (["run", "CONFIG= "], "CONFIG is empty"),
        (["run", "data=/x"], "data is not a variable of this Makefile: give DATA="),
        (["run", "SPAN=3"], "SPAN is not a variable of this Makefile"),
        (["run", "/tmp"], "/tmp is not a target: give data as in `make run DATA=~/photos`"),
        (["run", "DATA=x", "CONFIG=y"], "Give DATA or CONFIG, not both"),
    ],
)
def test_what_is_not_understood_is_refused(arguments, told):
    done = dry(*arguments)
    assert done.returncode == 2 and told in done.stderr
    assert "graftline.cli" not in done.stdout


@pytest.mark.parametrize("arguments", [["DATA=~/a b"], ["CONFIG=digits"], ["GRAFTLINE_GATE__MIN_ACCURACY=0.9"]])
def test_what_is_understood_is_handed_on(arguments):
    done = dry("run", *arguments)
    assert done.returncode == 0, done.stderr
    given = not arguments[0].startswith("GRAFTLINE")
    assert done.stdout.rstrip().endswith('run --data "$DATA_GIVEN"' if given else "graftline.cli run")


def test_what_was_exported_is_left_to_the_command():
    done = dry("run", GRAFTLINE_CONFIG="cats_vs_dogs")
    assert done.returncode == 0 and "--data" not in done.stdout and "GRAFTLINE_CONFIG=" not in done.stdout


def test_help_tells_users_targets_from_developers():
    printed = subprocess.run(["make", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    users, _, developers = printed.partition("For those who work on Graftline:")
    assert "  run " in users and "  test " in users and "bench" not in users
    assert "  check " in developers and "  lock " in developers
