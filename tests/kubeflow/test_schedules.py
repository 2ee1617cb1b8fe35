"""Schedules, against a local server that speaks the REST API of Kubeflow Pipelines."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from kubeflow import client as kubeflow_client
from kubeflow.schedules import next_times, schedule, unschedule
from tests.kubeflow.asking import NIGHTLY, WEEKLY, crons, refused, settings_of


def test_the_next_times_are_in_the_zone_of_the_server():
    times = next_times(NIGHTLY, "Europe/Berlin", 3)
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    assert [(time.hour, time.minute, time.second) for time in times] == [(3, 0, 0)] * 3
    assert all(time.utcoffset() in (timedelta(hours=1), timedelta(hours=2)) for time in times)
    assert now < times[0] <= now + timedelta(hours=25) and times == sorted(set(times))


def test_scheduling_again_leaves_one_schedule_and_those_of_other_pipelines(
    server, client, settings, package, monkeypatch
):
    monkeypatch.setattr(kubeflow_client, "PAGE", 1)
    schedule(client, settings_of(server.url, "cats"), package, NIGHTLY, {})
    schedule(client, settings, package, NIGHTLY, {"span": "1"})
    server.kept["recurringruns"].append({**server.kept["recurringruns"][-1], "recurring_run_id": "made-by-hand"})
    schedule(client, settings, package, WEEKLY, {"span": "2"})
    assert crons(server) == [NIGHTLY, WEEKLY]
    of_cats, made = server.kept["recurringruns"]
    assert (of_cats["display_name"], made["display_name"]) == ("cats", "pets")
    assert (
        made["pipeline_version_reference"]["pipeline_version_id"] == server.kept["versions"][1]["pipeline_version_id"]
    )
    assert made["runtime_config"]["parameters"] == {"span": "2"}
    assert (made["max_concurrency"], made["no_catchup"], made["mode"]) == (1, True, "ENABLE")
    assert made["service_account"] == "graftline"


def test_a_schedule_that_the_server_refuses_leaves_the_one_before(server, settings, package):
    with kubeflow_client.connected(settings) as client:
        schedule(client, settings, package, NIGHTLY, {})
    refusal = "Schedule cron is not a supported format: End of range (7) above maximum (6): 7"
    server.fail("POST recurringruns", 400, body={"code": 3, "message": refusal})
    refused(
        settings,
        f"(400: {refusal})",
        lambda client: schedule(client, settings, package, "0 0 3 * * 7", {}),
    )
    assert crons(server) == [NIGHTLY]


def test_a_schedule_that_cannot_be_removed_leaves_one_too_many_until_the_next_time(server, settings, package):
    with kubeflow_client.connected(settings) as client:
        schedule(client, settings, package, NIGHTLY, {})
    server.fail("DELETE recurringruns/.*", *[503] * kubeflow_client.ATTEMPTS)
    refused(
        settings,
        "(503: Service Unavailable)",
        lambda client: schedule(client, settings, package, WEEKLY, {}),
    )
    assert crons(server) == [NIGHTLY, WEEKLY]
    with kubeflow_client.connected(settings) as client:
        schedule(client, settings, package, NIGHTLY, {})
    assert crons(server) == [NIGHTLY]


def test_unscheduling_removes_all_and_says_how_many(server, client, settings, package):
    schedule(client, settings_of(server.url, "cats"), package, NIGHTLY, {})
    schedule(client, settings, package, WEEKLY, {})
    server.kept["recurringruns"].append({**server.kept["recurringruns"][-1], "recurring_run_id": "made-by-hand"})
    assert unschedule(client, settings) == 2
    assert crons(server) == [NIGHTLY]
    assert unschedule(client, settings) == 0


def test_a_schedule_that_is_gone_already_is_removed(server, client, settings, package):
    schedule(client, settings, package, NIGHTLY, {})
    server.fail("DELETE .*", 404, body={"code": 5, "message": "not found"})  # an earlier request got through
    assert unschedule(client, settings) == 1


# Runs in progress


def waited(server, ask, changes) -> None:
    """Calls `ask` in a thread, and makes each change to the server after the call has polled the runs for a while."""
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask)
        for change in changes:
            seen = server.asked.count("GET runs")
            while server.asked.count("GET runs") < seen + 4 and not asked.done():
                time.sleep(0.001)
            assert not asked.done(), "the call did not wait for the run"
            change()
        asked.result(timeout=10)


@pytest.mark.parametrize("again", [True, False], ids=["schedule", "unschedule"])
def test_a_run_that_is_going_on_completes_before_its_schedule_is_removed(again, server, client, settings, package):
    schedule(client, settings, package, NIGHTLY, {})
    run = server.fire()
    before = server.kept["recurringruns"][0]

    def ask():
        return schedule(client, settings, package, WEEKLY, {}) if again else unschedule(client, settings)

    def still_there_and_alone():
        assert before["status"] == "DISABLED"
        assert [one for one in range(len(server.kept["recurringruns"])) if server.fire(one)] == []
        run["state"] = "SUCCEEDED"

    waited(server, ask, [still_there_and_alone])
    assert server.killed == []
    assert crons(server) == ([WEEKLY] if again else [])
    assert [one["status"] for one in server.kept["recurringruns"]] == ["ENABLED"] * again


def test_a_run_that_the_server_hears_of_late_is_waited_for_too(server, client, settings, package):
    schedule(client, settings, package, NIGHTLY, {})
    late = server.fire()
    server.kept["runs"].remove(late)  # its workflow exists, but the server does not know it yet
    listed = server.fault

    def hear(asked):
        if asked == "GET runs" and server.asked.count("GET runs") == 2:
            server.kept["runs"].append(late)
        if server.asked.count("GET runs") == 5:
            late["state"] = "FAILED"
        return listed(asked)

    server.fault = hear
    assert unschedule(client, settings) == 1
    assert server.asked.count("GET runs") == 5 and server.killed == []


def test_a_run_that_begins_in_the_last_moment_survives_its_schedule(server, client, settings, package):
    schedule(client, settings, package, NIGHTLY, {})
    listed = server.fault

    def begin(asked):
        if asked.startswith("DELETE"):
            server.kept["recurringruns"][0]["status"] = "ENABLED"
            server.fire()
        return listed(asked)

    server.fault = begin
    unschedule(client, settings)
    assert [run["state"] for run in server.kept["runs"]] == ["RUNNING"]
    assert server.killed == []


def test_a_schedule_that_is_not_replaced_in_the_end_is_as_it_was(server, client, settings, package, monkeypatch):
    schedule(client, settings, package, NIGHTLY, {})
    server.fire()

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stop)
    with pytest.raises(KeyboardInterrupt):
        schedule(client, settings, package, WEEKLY, {})
    assert [(one["status"], one["trigger"]["cron_schedule"]["cron"]) for one in server.kept["recurringruns"]] == [
        ("ENABLED", NIGHTLY)
    ]
    with pytest.raises(KeyboardInterrupt):
        unschedule(client, settings)
    assert [one["status"] for one in server.kept["recurringruns"]] == ["DISABLED"]
    assert server.killed == []


def test_this_server_kills_what_a_schedule_owns_unless_told_otherwise(server, client, settings, package):
    """The imitation fails where the original does."""
    for policy, killed in ((None, 1), ("ORPHAN", 0)):
        schedule(client, settings, package, NIGHTLY, {})
        server.fire()
        (one,) = server.kept["recurringruns"]
        options = {"propagation_policy": policy} if policy else {}
        client.recurring_runs.recurring_run_service_delete_recurring_run(one["recurring_run_id"], **options)
        assert len(server.killed) == killed
        server.killed.clear()
        server.kept["runs"].clear()
