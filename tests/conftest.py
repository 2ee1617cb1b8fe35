"""What tests in several folders need."""

import os

import pytest

from graftline.base.paths import PREFIX

# Files that take minutes start first, so that no worker is still busy with one when the others are done
LONG = ["test_pipeline.py", "test_tutorials.py", "test_phases.py", "test_run_stage.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture
def no_overrides(monkeypatch):
    """Removes settings from the environment."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
