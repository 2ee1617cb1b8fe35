"""What tests of several rooms need."""

import os

import pytest

from graftline.base.paths import PREFIX


@pytest.fixture
def no_overrides(monkeypatch):
    """Takes settings out of the environment."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
