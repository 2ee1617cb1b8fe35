"""Connections, versions and runs, against a local server that speaks the REST API of Kubeflow Pipelines."""

import contextlib
import re
import socket

import pytest

from graftline.base.errors import UserError
from kubeflow import client as kubeflow_client
from kubeflow import status as kubeflow_status
from kubeflow.schedules import schedule, unschedule
from tests.kubeflow.asking import NIGHTLY, compiled, refused, settings_of


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def test_an_unchanged_pipeline_is_uploaded_once_and_a_changed_one_as_a_new_version(
    server, client, settings, package, tmp_path
):
    first = kubeflow_client.upload(client, settings, package)
    assert kubeflow_client.upload(client, settings, package).pipeline_version_id == first.pipeline_version_id
    assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?-[0-9a-f]{12}", first.display_name)
    assert [version["yaml"] for version in server.kept["versions"]] == [package.read_text()]

    changed = compiled(tmp_path, "good night")
    second = kubeflow_client.upload(client, settings, changed)
    assert second.pipeline_id == first.pipeline_id and second.display_name != first.display_name
    assert server.kept["versions"][1]["yaml"] == changed.read_text()
    assert [pipeline["display_name"] for pipeline in server.kept["pipelines"]] == ["pets"]


def test_a_new_revision_that_compiles_to_the_same_is_not_uploaded(server, client, settings, package, monkeypatch):
    first = kubeflow_client.upload(client, settings, package)
    monkeypatch.setattr(kubeflow_client, "revision", lambda: "fedcba987654")
    assert kubeflow_client.upload(client, settings, package).display_name == first.display_name
    assert len(server.kept["versions"]) == 1


def test_a_pipeline_of_that_name_in_another_namespace_is_not_ours(server, client, settings, package):
    other = server.keep("pipelines", {"display_name": "pets", "namespace": "theirs"})
    assert kubeflow_client.upload(client, settings, package).pipeline_id != other["pipeline_id"]
    assert [pipeline["namespace"] for pipeline in server.kept["pipelines"]] == ["theirs", "graftline"]


def test_where_there_are_no_profiles_no_namespace_is_asked_for(server, package, capsys):
    server.profiles = False
    alone = settings_of(server.url, namespace="")
    with kubeflow_client.connected(alone) as client:
        started = kubeflow_client.run(client, alone, package, {})
        schedule(client, alone, package, NIGHTLY, {})
        kubeflow_status.status(client, alone)
        assert unschedule(client, alone) == 1
    assert started.run_id in capsys.readouterr().out


def test_a_namespace_where_there_are_none_is_refused_in_the_servers_words(server, settings, package):
    server.profiles = False
    with pytest.raises(UserError, match="In single-user mode"), kubeflow_client.connected(settings) as client:
        kubeflow_client.run(client, settings, package, {})


def test_an_upload_that_failed_halfway_is_completed_by_the_next(server, settings, package):
    server.fail("POST pipelines/upload_version", 500, body={"error_message": "disk full", "error_details": "disk full"})
    refused(
        settings,
        "refused or could not complete the request (500: disk full).",
        lambda client: kubeflow_client.upload(client, settings, package),
    )
    with kubeflow_client.connected(settings) as client:
        kubeflow_client.upload(client, settings, package)
    assert (len(server.kept["pipelines"]), len(server.kept["versions"])) == (1, 1)


def test_a_run_has_its_version_experiment_parameters_and_account(server, client, settings, package):
    started = kubeflow_client.run(client, settings, package, {"span": "3", "phase_1_epochs": 2})
    kubeflow_client.run(client, settings, package, {})
    (version,), (experiment,) = server.kept["versions"], server.kept["experiments"]
    assert (experiment["display_name"], experiment["namespace"]) == ("graftline", "graftline")
    made, other = server.kept["runs"]
    assert made["run_id"] == started.run_id
    assert made["display_name"] == f"pets {version['display_name']}"
    assert made["experiment_id"] == other["experiment_id"] == experiment["experiment_id"]
    reference = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
    assert made["pipeline_version_reference"] == other["pipeline_version_reference"] == reference
    assert made["runtime_config"]["parameters"] == {"span": "3", "phase_1_epochs": 2}
    assert made["service_account"] == "graftline"


def test_a_server_that_cannot_be_reached_is_named():
    url = f"http://127.0.0.1:{free_port()}"
    refused(settings_of(url), f"Kubeflow Pipelines at {url} does not answer (")


def test_the_token_of_the_environment_is_sent(server, settings, monkeypatch):
    server.token = "good"
    cure = "set KF_PIPELINES_TOKEN to a valid token, or ask for access to the namespace graftline."
    refused(settings, f"denied access (401: Unauthenticated: no such token): {cure}")
    monkeypatch.setenv(kubeflow_client.TOKEN, "good")
    with kubeflow_client.connected(settings) as client:
        assert kubeflow_client.find_pipeline(client, settings) is None


@pytest.mark.parametrize(
    ("status", "body", "headers", "message"),
    [
        (
            403,
            {"code": 7, "message": "denied"},
            {},
            "denied access (403: denied): set KF_PIPELINES_TOKEN to a valid token",
        ),
        (403, "<html>", {}, "denied access (403: Forbidden): set KF_PIPELINES_TOKEN to a valid token"),
        (
            302,
            "",
            {"Location": "https://login"},
            "denied access (302: redirected to https://login): set KF_PIPELINES_TOKEN to a valid",
        ),
        (
            404,
            "404 page not found",
            {},
            "did not find the requested resource (404: Not Found): check cluster.endpoint.",
        ),
        (400, {"code": 3, "message": "bad"}, {}, "refused or could not complete the request (400: bad)."),
    ],
)
def test_refusals_are_told_in_one_sentence(server, settings, status, body, headers, message):
    server.fail("GET pipelines", status, body=body, headers=headers)
    refused(
        settings,
        f"Kubeflow Pipelines at {server.url} {message}",
        lambda client: kubeflow_status.status(client, settings),
    )


def test_what_can_be_repeated_is_until_the_server_is_well(server, client, settings, package):
    server.fail("GET pipelines", 0, 500, 503)
    kubeflow_client.upload(client, settings, package)
    assert server.asked.count("GET pipelines") == 4
    assert len(server.kept["versions"]) == 1


def test_a_server_that_stays_unwell_is_told_and_a_run_is_not_asked_for_twice(server, settings, package):
    unwell = [500] * kubeflow_client.ATTEMPTS
    server.fail("GET pipelines", *unwell, body={"code": 13, "message": "no database"})
    server.fail("POST runs", 503, 0, body="")
    for reason in ("request (500: no database).", "request (503: Service Unavailable).", "does not answer ("):
        refused(settings, reason, lambda client: kubeflow_client.run(client, settings, package, {}))
    assert server.asked.count("POST runs") == 2 and server.kept["runs"] == []
