"""Packages with a deferred `__init__` otherwise behave as always."""

import importlib
import subprocess
import sys

import pytest

from graftline.base import deferred
from graftline.base.paths import PROJECT

HEAVY = """
import sys
sys.stored.append("began")
from heavy import part
from heavy.part import NAME
WHOLE = part.NAME + NAME
if hasattr(sys.modules[__name__], "absent"):
    raise AssertionError
"""


@pytest.fixture
def heavy(tmp_path, monkeypatch):
    """A package that records in `sys.stored` when its `__init__` runs."""
    (tmp_path / "heavy").mkdir()
    (tmp_path / "heavy/__init__.py").write_text(HEAVY)
    (tmp_path / "heavy/part.py").write_text("NAME = 'name'\n")
    (tmp_path / "heavy/broken.py").write_text("import no_such_module\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(deferred, "PACKAGES", ("heavy",))
    monkeypatch.setattr(sys, "stored", [], raising=False)
    yield "heavy"
    for name in [name for name in sys.modules if name.partition(".")[0] == "heavy"]:
        del sys.modules[name]


def test_a_module_of_it_is_imported_alone(heavy):
    part = importlib.import_module("heavy.part")
    package = importlib.import_module("heavy")
    assert package.part is part
    assert package.__spec__.loader.path == package.__file__
    assert not hasattr(package, "__wrapped__")
    assert sys.stored == []


def test_a_name_of_its_own_is_there_when_it_is_asked_for(heavy):
    package = importlib.import_module(heavy)
    assert package.WHOLE == "namename"
    assert package.WHOLE == "namename"
    assert sys.stored == ["began"]
    assert "__getattr__" not in vars(package)


def test_what_it_does_not_have_is_told_as_ever(heavy):
    with pytest.raises(ImportError, match="cannot import name 'absent' from 'heavy'"):
        exec("from heavy import absent")
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        exec("from heavy import broken")


def test_looking_at_the_dag_imports_neither_tfma_nor_the_client_of_kubernetes():
    program = """
import sys
from graftline.settings.load import load
from pipeline import create_pipeline
create_pipeline(load())
print([name for name in ("tensorflow_model_analysis.evaluators", "kubernetes") if name in sys.modules])
from tfx.components import Evaluator
print(Evaluator.__module__)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\ntfx.components.evaluator.component\n", done.stderr


def test_names_of_tfx_and_tfma_are_there_whoever_is_imported_first():
    program = """
import graftline
from tfx.components import InfraValidator
from tensorflow_model_analysis import EvalConfig
print(InfraValidator.__module__, EvalConfig.__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout == "tfx.components.infra_validator.component EvalConfig\n", done.stderr
