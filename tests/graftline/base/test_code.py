"""The identity of code changes if and only if a result may."""

import importlib.metadata

import pytest

from graftline.base import code

MODULES = {
    "components/__init__.py": '"""Components."""\n',
    "components/eye.py": "from graftline import lens\n\n\ndef see():\n    import openvino\n\n    return lens, openvino\n",
    "components/ear.py": "import numpy\n",
    "graftline/__init__.py": "",
    "graftline/lens.py": 'FOCUS = 1  # in metres\n"""How far."""\n',
    "graftline/unused.py": "",
    "components/templates/page.html": "<p>",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project whose files can be changed; yields a function that returns the current identity of modules."""
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def identity(*modules: str, **changes: str) -> str:
        forget()
        for name, text in changes.items():
            (tmp_path / name).write_text(text)
        return code.identity(*(modules or ("components.eye",)))

    yield identity
    forget()


def forget() -> None:
    """Makes the next call read all files again."""
    for kept in (code._path, code._imports, code._digest, code._files_digest, code._versions):
        kept.cache_clear()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("components/eye.py", MODULES["components/eye.py"] + "SHARP = True\n"),
        ("graftline/lens.py", "FOCUS = 2\n"),
        ("graftline/__init__.py", "import os\n"),
        ("components/templates/page.html", "<h1>"),
    ],
)
def test_what_a_result_may_follow_from_changes_it(project, name, text):
    assert project() != project(**{name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("graftline/lens.py", '# A lens\nFOCUS = (1)\n"""Metres."""\n'),
        ("graftline/unused.py", "FOCUS = 2\n"),
        ("components/__init__.py", '"""The components."""\n'),
    ],
)
def test_words_layout_and_other_modules_do_not(project, name, text):
    assert project() == project(**{name: text})


def test_versions_of_what_is_imported_count_and_no_others(project, monkeypatch):
    eye, ear = project("components.eye"), project("components.ear")
    version = importlib.metadata.version
    monkeypatch.setattr(code.metadata, "version", lambda name: "0" if name == "numpy" else version(name))
    assert project("components.eye") == eye
    assert project("components.ear") != ear
    monkeypatch.setattr(code.metadata, "version", lambda name: "0" if name == "tensorflow" else version(name))
    assert project("components.eye") != eye


def test_modules_of_this_project_are_followed_into_functions_and_packages():
    found = code._closure(("components.report.component",))
    assert {"components.report.gather", "graftline.artifacts", "graftline.features.cache", "sklearn"} <= found
    assert "components.trainer.run_fn" not in found
