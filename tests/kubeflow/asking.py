"""Shared by tests that send requests to a Kubeflow Pipelines server."""

import re
from pathlib import Path

import pytest
from kfp import compiler, dsl

from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow.client import connected

NIGHTLY, WEEKLY = "0 0 3 * * *", "0 30 4 * * MON"


def settings_of(url, name="pets", **cluster):
    return Settings(
        name=name, data={"dataset": "digits"}, gate={"min_accuracy": 0.5}, cluster={"endpoint": url, **cluster}
    )


def compiled(folder: Path, text: str = "hello", image: str = "debian:13") -> Path:
    @dsl.container_component
    def say(span: str):
        return dsl.ContainerSpec(image=image, command=["echo", text, span])

    @dsl.pipeline(name="pets")
    def pets(span: str = "latest"):
        say(span=span)

    path = folder / "pets.yaml"
    compiler.Compiler().compile(pets, str(path))
    return path


def refused(settings, message, ask=lambda client: None) -> None:
    """Connects and calls `ask`, and checks that it ends in a UserError of one line with this message."""
    with pytest.raises(UserError, match=re.escape(message)) as told, connected(settings) as client:
        ask(client)
    assert "\n" not in str(told.value)


def crons(server) -> list[str]:
    return [schedule["trigger"]["cron_schedule"]["cron"] for schedule in server.kept["recurringruns"]]
