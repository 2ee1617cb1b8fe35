"""What tests of several rooms need."""

import os

import pytest

from graftline.base.paths import PREFIX

# Files that take minutes start first, so that no worker still has one when the others are done
LONG = ["test_pipeline.py", "test_tutorials.py", "test_phases.py", "test_run_stage.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture
def no_overrides(monkeypatch):
    """Takes settings out of the environment."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
