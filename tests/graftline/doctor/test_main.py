"""`graftline doctor` as a whole, on a healthy machine and on broken ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graftline.base.paths import PROJECT
from graftline.doctor import BAD, SET_UP
from graftline.doctor.__main__ import guarded
from graftline.settings.load import CONFIG_VARIABLE
from tests.past import settings_of


def doctor(config: str, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {CONFIG_VARIABLE: config} | environment
    command = [sys.executable, *flags, "-m", "graftline.doctor"]
    return subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path) -> str:
    return settings_of(tmp_path).model_dump_json(exclude={"metadata"})


def write_tensorflow(folder: Path, source: str) -> str:
    """Writes a TensorFlow that shadows the installed one; returns the PYTHONPATH to use."""
    (folder / "tensorflow").mkdir()
    (folder / "tensorflow/__init__.py").write_text(source)
    return str(folder)


def test_on_this_machine_each_part_has_its_line(config):
    printed = doctor(config).stdout
    for part in (
        "Python",
        "processor",
        "memory",
        "TensorFlow",
        "GPU",
        "bfloat16",
        "settings",
        "lock",
        "metadata store",
        "disk",
    ):
        assert f" {part} " in printed
    for line in printed.splitlines():
        assert line[0] in "✔!✘ "


def test_damaged_settings_are_told_and_the_machine_is_looked_at_all_the_same(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("name: pets\ndata: {dataset: digits}\ngate: {min_accuracy: 3}\ntraning: {seed: 1}\n")
    done = doctor(str(path))
    assert done.returncode == 1
    assert "✘ settings       gate.min_accuracy = 3: input should be less than or equal to 1" in done.stdout
    assert "✘ settings       traning = {'seed': 1}: no such setting; did you mean training" in done.stdout
    assert "✔ Python" in done.stdout
    assert "! not checked" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_tensorflow_that_cannot_be_imported_is_told_with_its_reason(config, tmp_path):
    path = write_tensorflow(tmp_path, "raise ImportError('libcudart.so.12: cannot open shared object file')")
    done = doctor(config, PYTHONPATH=path)
    assert done.returncode == 1
    assert "✘ tensorflow     ImportError: libcudart.so.12: cannot open shared object file" in done.stdout
    assert "✔ metadata store none yet" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_tensorflow_that_crashes_is_told(config, tmp_path):
    path = write_tensorflow(tmp_path, "import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    done = doctor(config, PYTHONPATH=path)
    assert done.returncode == 1
    assert "✘ tensorflow     a process that imports TensorFlow ended with status -4" in done.stdout
    assert "✔ lock" in done.stdout


def test_without_the_environment_the_cure_is_to_set_it_up(config):
    done = doctor(config, "-S", "-E")
    assert done.returncode == 1
    assert "✘ packages       ModuleNotFoundError: No module named 'packaging'" in done.stdout
    assert SET_UP in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_what_a_check_trips_over_is_its_finding():
    def check_moon():
        raise OSError("too far")
        yield

    (found,) = guarded(check_moon)
    assert (found.mark, found.what, found.value) == (BAD, "moon", "OSError: too far")
