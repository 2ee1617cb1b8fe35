"""What `status` prints about runs and schedules, against a local server that speaks the REST API of Kubeflow Pipelines."""

import re

import pytest

from graftline.base.errors import UserError
from kubeflow import client as kubeflow_client
from kubeflow import status as kubeflow_status
from kubeflow.schedules import next_times, schedule, unschedule
from kubeflow.status import status
from tests.kubeflow.asking import NIGHTLY, compiled, settings_of


def test_status_shows_the_latest_runs_and_the_next_time(server, client, settings, package, capsys, monkeypatch):
    monkeypatch.setattr(kubeflow_client, "PAGE", 3)
    kubeflow_client.run(client, settings_of(server.url, "cats"), package, {})
    ids = [kubeflow_client.run(client, settings, package, {}).run_id for _ in range(12)]
    server.kept["runs"][-1] |= {"state": "RUNNING", "finished_at": "1970-01-01T00:00:00Z"}
    server.kept["runs"][-2] |= {
        "state": "FAILED",
        "created_at": "2026-07-01T10:00:00Z",
        "finished_at": "2026-07-01T10:30:00Z",
    }
    schedule(client, settings, package, NIGHTLY, {})
    capsys.readouterr()
    status(client, settings)
    shown = capsys.readouterr().out
    assert re.findall(r"\bruns-\d+", shown) == ids[:1:-1]  # ten, the last one first
    assert "1970" not in shown
    assert re.search(rf"{ids[-2]}.*FAILED.*2026-07-01 12:00:00.*2026-07-01 12:30:00", shown)  # in Berlin's summer time
    due = next_times(NIGHTLY, "Europe/Berlin", 1)[0]
    assert f"Scheduled at '{NIGHTLY}', read in Europe/Berlin: next {due:%Y-%m-%d} 03:00:00 (recurringruns-" in shown


def test_status_shows_schedules_that_are_paused_made_by_other_means_or_missing(
    server, client, settings, package, capsys
):
    kubeflow_client.run(client, settings, package, {})
    status(client, settings)
    assert "Not scheduled." in capsys.readouterr().out
    schedule(client, settings, package, NIGHTLY, {})
    by_hand = {**server.kept["recurringruns"][0], "trigger": {"periodic_schedule": {"interval_second": "60"}}}
    server.kept["recurringruns"][0]["status"] = "DISABLED"
    server.kept["recurringruns"].append(by_hand)
    status(client, settings)
    shown = capsys.readouterr().out
    assert f"Scheduled at '{NIGHTLY}', read in Europe/Berlin: paused" in shown
    assert "Scheduled at '', read in Europe/Berlin: next time unknown" in shown


def test_a_missing_pipeline_or_experiment_is_named(server, client, settings, package):
    where = f"in the namespace graftline of {server.url}: `graftline kubeflow run`"
    for asked in (status, unschedule):
        with pytest.raises(UserError, match=re.escape(f"There is no pipeline 'pets' {where} uploads it.")):
            asked(client, settings)
    kubeflow_client.upload(client, settings, package)
    with pytest.raises(UserError, match=re.escape(f"There is no experiment 'graftline' {where} creates it.")):
        status(client, settings)


REVISION = "0123456789ab"


def behind(client, settings, capsys) -> str:
    """Returns what is printed about a schedule's age."""
    capsys.readouterr()
    status(client, settings)
    return "".join(line for line in capsys.readouterr().out.splitlines() if line.startswith("It runs"))


def test_a_schedule_of_an_older_revision_is_told_with_what_renews_it(
    server, client, settings, tmp_path, monkeypatch, capsys
):
    kubeflow_client.run(client, settings, compiled(tmp_path), {})
    monkeypatch.setattr(kubeflow_status, "revision", lambda: REVISION)
    schedule(client, settings, compiled(tmp_path, image=f"registry.example:5000/graftline:{REVISION}"), NIGHTLY, {})
    assert behind(client, settings, capsys) == ""
    monkeypatch.setattr(kubeflow_status, "revision", lambda: "fedcba987654")
    assert behind(client, settings, capsys) == (
        f"It runs the image registry.example:5000/graftline:{REVISION}, but this checkout is at fedcba987654: "
        f"`graftline kubeflow schedule --cron '{NIGHTLY}'` updates it."
    )


def test_a_schedule_is_told_to_be_behind_what_was_uploaded_since(server, client, settings, tmp_path, capsys):
    schedule(client, settings, compiled(tmp_path, image="graftline:v1"), NIGHTLY, {})
    assert behind(client, settings, capsys) == ""
    kubeflow_client.run(client, settings, compiled(tmp_path, "good night", image="graftline:v1"), {})
    older, newer = (version["display_name"] for version in server.kept["versions"])
    assert behind(client, settings, capsys).startswith(f"It runs version {older}, but {newer} was uploaded later: ")


@pytest.mark.parametrize(
    ("state", "tasks", "told"),
    [
        ("FAILED", {"trainer": "FAILED", "end-run": "SUCCEEDED"}, False),
        ("FAILED", {"root-driver": "FAILED"}, True),
        ("FAILED", {"end-run-driver": "FAILED"}, True),
        ("SUCCEEDED", {"end-run": "SUCCEEDED"}, False),
        ("RUNNING", {}, False),
    ],
)
def test_a_run_whose_end_nobody_was_told_is_told(state, tasks, told, server, client, settings, package, capsys):
    run = kubeflow_client.run(client, settings, package, {})
    details = [{"display_name": name, "state": how} for name, how in tasks.items()]
    server.kept["runs"][0] |= {"state": state, "run_details": {"task_details": details}}
    status(client, settings)
    line = f"Run {run.run_id} failed, but its end was reported neither to a log nor to the webhook"
    assert (line in capsys.readouterr().out) == told


def test_a_schedule_whose_version_was_deleted_is_told(server, client, settings, package, capsys):
    schedule(client, settings, package, NIGHTLY, {})
    kubeflow_client.run(client, settings, package, {})
    (version,) = server.kept["versions"]
    server.kept["versions"].clear()
    told = f"It runs version {version['pipeline_version_id']}, which has been deleted: `graftline kubeflow schedule"
    assert behind(client, settings, capsys).startswith(told)
