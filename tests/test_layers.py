"""The layers that imports go down through, which `make check` enforces: an import upwards is caught."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graftline.base.paths import PROJECT

CONTRACTS = str(Path(sys.executable).with_name("lint-imports"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the code in another folder."""
    folder = tmp_path_factory.mktemp("house")
    for room in ("graftline", "components", "kubeflow", "benchmarks"):
        shutil.copytree(PROJECT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "pipeline.py"):
        shutil.copy(PROJECT / file, folder)
    return folder


@pytest.mark.parametrize(
    ("module", "statement", "told"),
    [
        ("graftline/base/threads.py", "from graftline.data import schema", "graftline.base is not allowed to import"),
        ("graftline/settings/load.py", "import kubeflow.compile", "graftline.settings is not allowed to import"),
        ("components/pusher/component.py", "from components.report import page", "components.pusher is not allowed"),
        ("components/trainer/run_fn.py", "import pipeline", "components is not allowed to import pipeline"),
        ("graftline/training/phases.py", "from graftline.cli import history", "graftline.training is not allowed"),
    ],
)
def test_a_step_upwards_or_aside_is_refused(copy, module, statement, told):
    place = copy / module
    before = place.read_text()
    place.write_text(f"{before}\n{statement}  # noqa\n")
    done = subprocess.run([CONTRACTS, "--no-cache"], cwd=copy, capture_output=True, text=True, check=False)
    place.write_text(before)
    assert done.returncode == 1
    assert told in done.stdout
