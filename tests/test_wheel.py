"""A wheel of the project, installed away from the checkout, works in any folder."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest
import uv

from graftline.base import code
from graftline.base.paths import CONFIGS, HOME_VARIABLE, PREFIX, PROJECT, SCHEMAS
from graftline.settings.load import CONFIG_VARIABLE

REPORT = "components.report.component"
LOOK = f"""
import json
from graftline.base import code
from graftline.doctor import environment
from graftline.network import weights
from graftline.settings import load

settings = load.load()
print(json.dumps({{
    "names": load.names(),
    "root": str(settings.run.root),
    "data": str(settings.data.data_dir),
    "weights": str(weights.FOLDER),
    "schema": settings.reviewed_schema.read_text() if settings.schema_path.is_file() else str(settings.schema_path),
    "code": code.identity("{REPORT}"),
    "revision": code.revision(),
    "doctor": [list(found) for check in environment.CHECKS for found in check()],
}}))
"""


def tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder that the wheel is installed in. It is built from a copy, as setuptools leaves files next to the code."""
    copy, folder = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("site")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, copy / name)
    flags = ["--offline", "--no-deps", "--no-build-isolation", "--python", sys.executable, "--target", str(folder)]
    done = subprocess.run([uv.find_uv_bin(), "pip", "install", *flags, str(copy)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def look(installed, tmp_path, no_overrides):
    """Returns what Graftline says if it is called in an empty folder, without the checkout on the path."""

    def look(**environment: str) -> dict:
        given = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        command, place = [sys.executable, "-c", LOOK], {"PYTHONPATH": str(installed)}
        done = subprocess.run(
            command, cwd=tmp_path, env=given | place | environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return look


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith((".", "__"))}


def test_it_holds_the_code_its_files_and_nothing_of_the_workshop(installed):
    ours = {"components", "graftline", "graftline_files", "pipeline.py"}
    assert names(installed) == ours | {"bin", "graftline-0.1.0.dist-info"}
    for folder in (CONFIGS, SCHEMAS, PROJECT / "components/report/templates", PROJECT / "graftline/server/page"):
        inside = folder.relative_to(PROJECT)
        there = installed / ("graftline_files" if folder in (CONFIGS, SCHEMAS) else "") / inside
        assert names(there) == names(folder)


def test_it_says_what_it_requires_and_what_its_command_is(installed):
    (folder,) = installed.glob("*.dist-info")
    wheel = Distribution.at(folder)
    assert [(one.name, one.value) for one in wheel.entry_points] == [("graftline", "graftline.cli.main:main")]
    assert (installed / "bin/graftline").is_file()
    assert wheel.metadata["Requires-Python"] == ">=3.11,<3.12"
    assert {"tfx==1.21.0", "click", "kfp; extra == 'local'"} <= {
        line.replace('"', "'") for line in wheel.requires or ()
    }


def test_configurations_and_schemas_come_with_it_and_output_is_where_it_is_called(look, tmp_path):
    said = look()
    assert said["names"] == ["cats_vs_dogs", "cats_vs_dogs_tutorial", "digits"]
    assert said["schema"] == (SCHEMAS / "digits.pbtxt").read_text()
    output = tmp_path / "output"
    assert [Path(said[name]) for name in ("root", "data", "weights")] == [output, output / "data", output / "weights"]


def test_output_is_in_the_home_that_is_given(look, tmp_path):
    said = look(**{HOME_VARIABLE: str(tmp_path / "home")})
    output = tmp_path / "home/output"
    assert [Path(said[name]) for name in ("root", "data", "weights")] == [output, output / "data", output / "weights"]


def test_a_schema_of_ones_own_is_kept_beside_the_output(look, tmp_path):
    (tmp_path / "roses.yaml").write_text("{name: roses, data: {dataset: tf_flowers}, gate: {min_accuracy: 0.5}}")
    assert look(**{CONFIG_VARIABLE: "roses.yaml"})["schema"] == str(tmp_path / "schemas/tf_flowers.pbtxt")


def test_its_code_is_the_same_code(look):
    said = look()
    assert said["code"] == code.identity(REPORT)
    assert said["revision"] == "0.1.0"


def test_the_doctor_looks_at_its_requirements(look):
    ((mark, what, told, _),) = look()["doctor"]
    assert (mark, what) == ("✔", "packages")
    assert told.endswith("that Graftline 0.1.0 requires")


def test_in_a_checkout_a_home_that_is_given_counts_too(tmp_path):
    program = "from graftline.settings.load import load; print(load().run.root)"
    for given, root in (({}, PROJECT), ({HOME_VARIABLE: str(tmp_path)}, tmp_path)):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | given
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == f"{root / 'output'}\n"
