"""Finding a run by its id or as the latest, and stopping it."""

import re

import pytest

from graftline.base.errors import UserError
from kubeflow import client as kubeflow_client
from kubeflow.runs import find, stop
from tests.kubeflow.asking import compiled, refused, settings_of


@pytest.fixture
def run(server, client, settings, package):
    return kubeflow_client.run(client, settings, package, {})


def test_the_latest_run_is_that_of_the_pipeline(server, client, settings, package, run):
    latest = kubeflow_client.run(client, settings, package, {})
    kubeflow_client.run(client, settings_of(server.url, "cats"), package, {})
    assert find(client, settings, "latest").run_id == latest.run_id
    assert find(client, settings, run.run_id).run_id == run.run_id


def test_a_run_that_is_not_there_is_named(server, client, settings, package, tmp_path):
    where = f"in the namespace graftline of {server.url}: `graftline kubeflow "
    refused(settings, f"There is no pipeline 'pets' {where}run` uploads it.", lambda one: find(one, settings, "latest"))
    kubeflow_client.upload(client, settings, compiled(tmp_path))
    kubeflow_client.experiment(client, settings)
    refused(settings, f"There is no run of 'pets' {where}run`", lambda one: find(one, settings, "latest"))
    refused(
        settings,
        f"There is no run 'missing' {where}status` lists the runs.",
        lambda one: find(one, settings, "missing"),
    )
    refused(
        settings,
        f"There is no run 'missing' {where}status` lists the runs.",
        lambda one: stop(one, settings, "missing"),
    )
    assert not [asked for asked in server.asked if asked.endswith(":terminate")]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "PAUSED"])
def test_a_run_that_goes_on_is_stopped(state, server, client, settings, run):
    server.kept["runs"][0]["state"] = state
    assert stop(client, settings, run.run_id).startswith(f"Run {run.run_id} is being stopped: ")
    assert server.kept["runs"][0]["state"] == "CANCELING"
    assert stop(client, settings, run.run_id) == f"Run {run.run_id} is already being stopped."


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELED"])
def test_a_run_that_has_ended_is_not_stopped_again(state, server, client, settings, run):
    server.kept["runs"][0]["state"] = state
    assert (
        stop(client, settings, run.run_id) == f"Run {run.run_id} has already ended ({state}): there is nothing to stop."
    )
    assert not [asked for asked in server.asked if asked.endswith(":terminate")]


def test_a_run_that_ends_while_it_is_stopped_is_said_to_have_ended(server, client, settings, run, monkeypatch):
    ask = client.terminate_run

    def late(run_id):
        server.kept["runs"][0]["state"] = "SUCCEEDED"
        return ask(run_id)

    monkeypatch.setattr(client, "terminate_run", late)
    assert stop(client, settings, run.run_id).startswith(f"Run {run.run_id} has already ended (SUCCEEDED)")


def test_a_run_that_the_server_fails_to_stop_is_not_said_to_be(server, settings, run):
    server.fail("POST runs/.*:terminate", 500, body={"code": 13, "message": "Failed to terminate run"})
    refused(
        settings,
        "refused or could not complete the request (500: Failed to",
        lambda one: stop(one, settings, run.run_id),
    )


def test_no_run_is_stopped_where_none_is_named(client, settings):
    with pytest.raises(UserError, match=re.escape("RUN is empty: give the id of a run")):
        stop(client, settings, "")
