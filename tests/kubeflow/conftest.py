"""A server of Kubeflow Pipelines on the loopback, and the way to it."""

import kfp
import pytest

from kubeflow import client as kubeflow_client
from kubeflow import schedules
from tests.kubeflow import kfp_server
from tests.kubeflow.asking import compiled, settings_of


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """No user's own configuration, and short pauses between attempts."""
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "home" / "context.json"))
    monkeypatch.setattr(kubeflow_client, "BACKOFF_SECONDS", 0.001)
    monkeypatch.setattr(schedules, "POLL_SECONDS", 0.01)
    monkeypatch.delenv(kubeflow_client.TOKEN, raising=False)


@pytest.fixture
def server():
    with kfp_server.running() as running:
        yield running


@pytest.fixture
def settings(server):
    return settings_of(server.url, time_zone="Europe/Berlin")


@pytest.fixture
def client(settings):
    with kubeflow_client.connected(settings) as connected:
        yield connected


@pytest.fixture
def package(tmp_path):
    return compiled(tmp_path)
