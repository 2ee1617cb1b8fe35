"""Fixtures: a local server of Kubeflow Pipelines, a cluster that kubectl seems to reach, and access to both."""

import os
import re
import sys
from pathlib import Path

import kfp
import pytest

from graftline.base.paths import PROJECT
from graftline.cli import kubeflow as commands
from graftline.cli.main import main
from kubeflow import client as kubeflow_client
from kubeflow import schedules
from tests.kubeflow import kfp_server
from tests.kubeflow.asking import compiled, settings_of
from tests.kubeflow.kubectl import CLUSTER, Cluster

IMAGE = "registry.example/graftline:1"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """Hides the user's own configuration, and shortens the pauses between attempts."""
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


@pytest.fixture
def volume(tmp_path, monkeypatch) -> Path:
    """The volume; the settings name it and the image."""
    folder = tmp_path / "volume"
    folder.mkdir()
    for name, value in {"CONFIG": "digits", "CLUSTER__MOUNT": str(folder), "CLUSTER__IMAGE": IMAGE}.items():
        monkeypatch.setenv(f"GRAFTLINE_{name}", value)
    return folder


@pytest.fixture
def cluster(tmp_path, monkeypatch) -> Cluster:
    """A cluster without faults, and the imitation of kubectl for it first in PATH."""
    made = Cluster(tmp_path / "cluster")
    made.make(
        namespace="graftline",
        accounts=["graftline"],
        claims=["graftline"],
        images=[IMAGE],
        secrets={"graftline-mysql": {"password": "x"}},
    )
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} -m tests.kubeflow.kubectl "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv(CLUSTER, str(made.folder))
    return made


@pytest.fixture
def called(monkeypatch, capfd, tmp_path):
    """Runs a command, and returns exit status, standard output and standard error."""
    monkeypatch.setattr(commands, "OUTPUT", tmp_path / "output/kubeflow")  # where reports are kept

    def run(*arguments):
        capfd.readouterr()  # drops earlier output
        status = main(["kubeflow", *arguments])
        out, error = capfd.readouterr()
        return status, out, re.sub(r"^Data: .*\n", "", error)

    return run
