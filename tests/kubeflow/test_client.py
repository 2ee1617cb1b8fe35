"""Runs and schedules on Kubeflow Pipelines, against a server that speaks its REST API on the loopback."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import kfp
import pytest
from kfp import compiler, dsl

from configuration import CONFIG_VARIABLE
from kubeflow import client as kubeflow_client
from settings import PROJECT, Settings, UserError
from tests.kubeflow import kfp_server

NIGHTLY, WEEKLY = "0 0 3 * * *", "0 30 4 * * MON"
DEFAULTS = {"span": "latest", "phase_1_epochs": 10, "min_accuracy": 0.9, "force_retrain": False}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """No user's own configuration, and short pauses between attempts."""
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "home" / "context.json"))
    monkeypatch.setattr(kubeflow_client, "BACKOFF_SECONDS", 0.001)
    monkeypatch.delenv(kubeflow_client.TOKEN, raising=False)


@pytest.fixture
def server():
    with kfp_server.running() as running:
        yield running


def settings_of(url, name="pets", **cluster):
    return Settings(
        name=name, data={"dataset": "digits"}, gate={"min_accuracy": 0.5}, cluster={"endpoint": url, **cluster}
    )


@pytest.fixture
def settings(server):
    return settings_of(server.url, time_zone="Europe/Berlin")


@pytest.fixture
def client(settings):
    with kubeflow_client.connected(settings) as connected:
        yield connected


def compiled(folder: Path, text: str = "hello") -> Path:
    @dsl.container_component
    def say(span: str):
        return dsl.ContainerSpec(image="debian:13", command=["echo", text, span])

    @dsl.pipeline(name="pets")
    def pets(span: str = "latest"):
        say(span=span)

    path = folder / "pets.yaml"
    compiler.Compiler().compile(pets, str(path))
    return path


@pytest.fixture
def package(tmp_path):
    return compiled(tmp_path)


def free_port() -> int:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return listener.getsockname()[1]


def refused(settings, message, ask=lambda client: None) -> None:
    """Connects and asks for something, and sees that it ends in a UserError of one line with this message."""
    with pytest.raises(UserError, match=re.escape(message)) as told, kubeflow_client.connected(settings) as client:
        ask(client)
    assert "\n" not in str(told.value)


def crons(server) -> list[str]:
    return [schedule["trigger"]["cron_schedule"]["cron"] for schedule in server.kept["recurringruns"]]


# Upload


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
        kubeflow_client.schedule(client, alone, package, NIGHTLY, {})
        kubeflow_client.status(client, alone)
        assert kubeflow_client.unschedule(client, alone) == 1
    assert started.run_id in capsys.readouterr().out


def test_a_namespace_where_there_are_none_is_refused_in_the_servers_words(server, settings, package):
    server.profiles = False
    with pytest.raises(UserError, match="In single-user mode"), kubeflow_client.connected(settings) as client:
        kubeflow_client.run(client, settings, package, {})


def test_an_upload_that_failed_halfway_is_completed_by_the_next(server, settings, package):
    server.fail("POST pipelines/upload_version", 500, body={"error_message": "disk full", "error_details": "disk full"})
    refused(
        settings,
        "refused or failed the request (500: disk full).",
        lambda client: kubeflow_client.upload(client, settings, package),
    )
    with kubeflow_client.connected(settings) as client:
        kubeflow_client.upload(client, settings, package)
    assert (len(server.kept["pipelines"]), len(server.kept["versions"])) == (1, 1)


# Runs


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


def test_parameters_take_the_types_of_their_defaults():
    given = ["span=3", "phase_1_epochs=2", "min_accuracy=0.95", "force_retrain=true"]
    values = {"span": "3", "phase_1_epochs": 2, "min_accuracy": 0.95, "force_retrain": True}
    assert kubeflow_client.checked(given, DEFAULTS) == values
    assert kubeflow_client.checked([], DEFAULTS) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "epochs=3",
            "no run parameter 'epochs': the known ones are span, phase_1_epochs, min_accuracy, force_retrain.",
        ),
        ("phase_1_epochs=many", "phase_1_epochs = 'many' is no int; its default is 10."),
        ("phase_1_epochs", "phase_1_epochs = '' is no int; its default is 10."),
    ],
)
def test_parameters_that_are_unknown_or_of_another_type_are_refused(given, message):
    with pytest.raises(UserError, match=re.escape(message)):
        kubeflow_client.checked(["span=3", given], DEFAULTS)


# Schedules


def test_the_next_times_are_in_the_zone_of_the_server():
    times = kubeflow_client.next_times(NIGHTLY, "Europe/Berlin", 3)
    now = datetime.now(ZoneInfo("Europe/Berlin"))
    assert [(time.hour, time.minute, time.second) for time in times] == [(3, 0, 0)] * 3
    assert all(time.utcoffset() in (timedelta(hours=1), timedelta(hours=2)) for time in times)
    assert now < times[0] <= now + timedelta(hours=25) and times == sorted(set(times))


@pytest.mark.parametrize(
    "cron", ["0 3 * * *", "0 0 3 * * * 2027", "0 99 3 * * *", "at three o clock of nights", "0 0 0 31 2 *"]
)
def test_a_bad_cron_is_refused_before_anything_is_sent(server, command, cron):
    exit_status, _, error = command("schedule", "--cron", cron)
    assert exit_status == 1
    assert re.fullmatch(rf"CRON = '{re.escape(cron)}' (has \d fields|is no time that ever comes).*\n", error)
    assert server.asked == []


def test_scheduling_again_leaves_one_schedule_and_those_of_other_pipelines(
    server, client, settings, package, monkeypatch
):
    monkeypatch.setattr(kubeflow_client, "PAGE", 1)
    kubeflow_client.schedule(client, settings_of(server.url, "cats"), package, NIGHTLY, {})
    kubeflow_client.schedule(client, settings, package, NIGHTLY, {"span": "1"})
    server.kept["recurringruns"].append({**server.kept["recurringruns"][-1], "recurring_run_id": "made-by-hand"})
    kubeflow_client.schedule(client, settings, package, WEEKLY, {"span": "2"})
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
        kubeflow_client.schedule(client, settings, package, NIGHTLY, {})
    refusal = "Schedule cron is not a supported format: End of range (7) above maximum (6): 7"
    server.fail("POST recurringruns", 400, body={"code": 3, "message": refusal})
    refused(
        settings,
        f"(400: {refusal})",
        lambda client: kubeflow_client.schedule(client, settings, package, "0 0 3 * * 7", {}),
    )
    assert crons(server) == [NIGHTLY]


def test_a_schedule_that_cannot_be_removed_leaves_one_too_many_until_the_next_time(server, settings, package):
    with kubeflow_client.connected(settings) as client:
        kubeflow_client.schedule(client, settings, package, NIGHTLY, {})
    server.fail("DELETE recurringruns/.*", *[503] * kubeflow_client.ATTEMPTS)
    refused(
        settings,
        "(503: Service Unavailable)",
        lambda client: kubeflow_client.schedule(client, settings, package, WEEKLY, {}),
    )
    assert crons(server) == [NIGHTLY, WEEKLY]
    with kubeflow_client.connected(settings) as client:
        kubeflow_client.schedule(client, settings, package, NIGHTLY, {})
    assert crons(server) == [NIGHTLY]


def test_unscheduling_removes_all_and_says_how_many(server, client, settings, package):
    kubeflow_client.schedule(client, settings_of(server.url, "cats"), package, NIGHTLY, {})
    kubeflow_client.schedule(client, settings, package, WEEKLY, {})
    server.kept["recurringruns"].append({**server.kept["recurringruns"][-1], "recurring_run_id": "made-by-hand"})
    assert kubeflow_client.unschedule(client, settings) == 2
    assert crons(server) == [NIGHTLY]
    assert kubeflow_client.unschedule(client, settings) == 0


def test_a_schedule_that_is_gone_already_is_removed(server, client, settings, package):
    kubeflow_client.schedule(client, settings, package, NIGHTLY, {})
    server.fail("DELETE .*", 404, body={"code": 5, "message": "not found"})  # the request before got through
    assert kubeflow_client.unschedule(client, settings) == 1


# Status


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
    kubeflow_client.schedule(client, settings, package, NIGHTLY, {})
    capsys.readouterr()
    kubeflow_client.status(client, settings)
    shown = capsys.readouterr().out
    assert re.findall(r"\bruns-\d+", shown) == ids[:1:-1]  # ten, the last one first
    assert "1970" not in shown
    assert re.search(rf"{ids[-2]}.*FAILED.*2026-07-01 12:00:00.*2026-07-01 12:30:00", shown)  # in Berlin's summer time
    due = kubeflow_client.next_times(NIGHTLY, "Europe/Berlin", 1)[0]
    assert f"Scheduled at '{NIGHTLY}', read in Europe/Berlin: next {due:%Y-%m-%d} 03:00:00 (recurringruns-" in shown


def test_status_shows_schedules_that_are_paused_made_by_other_means_or_missing(
    server, client, settings, package, capsys
):
    kubeflow_client.run(client, settings, package, {})
    kubeflow_client.status(client, settings)
    assert "Not scheduled." in capsys.readouterr().out
    kubeflow_client.schedule(client, settings, package, NIGHTLY, {})
    by_hand = {**server.kept["recurringruns"][0], "trigger": {"periodic_schedule": {"interval_second": "60"}}}
    server.kept["recurringruns"][0]["status"] = "DISABLED"
    server.kept["recurringruns"].append(by_hand)
    kubeflow_client.status(client, settings)
    shown = capsys.readouterr().out
    assert f"Scheduled at '{NIGHTLY}', read in Europe/Berlin: paused" in shown
    assert "Scheduled at '', read in Europe/Berlin: next time not known" in shown


def test_a_missing_pipeline_or_experiment_is_named(server, client, settings, package):
    where = f"in the namespace graftline of {server.url}: `make kubeflow-run`"
    for asked in (kubeflow_client.status, kubeflow_client.unschedule):
        with pytest.raises(UserError, match=re.escape(f"There is no pipeline 'pets' {where} uploads it.")):
            asked(client, settings)
    kubeflow_client.upload(client, settings, package)
    with pytest.raises(UserError, match=re.escape(f"There is no experiment 'graftline' {where} makes it.")):
        kubeflow_client.status(client, settings)


# The server and the way to it


def test_a_server_that_cannot_be_reached_is_named():
    url = f"http://127.0.0.1:{free_port()}"
    refused(settings_of(url), f"Kubeflow Pipelines at {url} does not answer (")


def test_the_token_of_the_environment_is_sent(server, settings, monkeypatch):
    server.token = "good"
    cure = "give a valid token in KF_PIPELINES_TOKEN, or ask for rights in the namespace graftline."
    refused(settings, f"does not let you in (401: Unauthenticated: no such token): {cure}")
    monkeypatch.setenv(kubeflow_client.TOKEN, "good")
    with kubeflow_client.connected(settings) as client:
        assert kubeflow_client._find_pipeline(client, settings) is None


@pytest.mark.parametrize(
    ("status", "body", "headers", "message"),
    [
        (403, {"code": 7, "message": "denied"}, {}, "does not let you in (403: denied): give a valid token"),
        (403, "<html>", {}, "does not let you in (403: Forbidden): give a valid token"),
        (302, "", {"Location": "https://login"}, "does not let you in (302: sent on to https://login): give a valid"),
        (404, "404 page not found", {}, "does not have what was asked for (404: Not Found): check cluster.endpoint."),
        (400, {"code": 3, "message": "bad"}, {}, "refused or failed the request (400: bad)."),
    ],
)
def test_refusals_are_told_in_one_sentence(server, settings, status, body, headers, message):
    server.fail("GET pipelines", status, body=body, headers=headers)
    refused(
        settings,
        f"Kubeflow Pipelines at {server.url} {message}",
        lambda client: kubeflow_client.status(client, settings),
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


# The command line


def commanded(server, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    environment |= {
        "HOME": str(home),
        CONFIG_VARIABLE: "digits",
        "GRAFTLINE_CLUSTER__ENDPOINT": server.url,
    }
    command = [sys.executable, "-m", "kubeflow.client", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_command_line_tells_its_exit_status_and_writes_nothing_at_home(server, client, package, tmp_path):
    home = tmp_path / "user"
    failed = commanded(server, home, "status")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.fullmatch(
        r"There is no pipeline 'digits' in the namespace graftline of http://\S+: .*\.\n", failed.stderr
    )

    started = kubeflow_client.run(client, settings_of(server.url, "digits"), package, {})
    done = commanded(server, home, "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(rf"{started.run_id}.*PENDING", done.stdout) and "Not scheduled." in done.stdout
    assert list(home.rglob("*")) == []


@pytest.fixture
def command(server, monkeypatch, capsys, tmp_path):
    """Runs a command on the digits configuration, and returns exit status, standard output and standard error."""
    values = {"CONFIG": "digits", "CLUSTER__ENDPOINT": server.url, "CLUSTER__TIME_ZONE": "Europe/Berlin"}
    for name, value in {**values, "RUN__LOG_LEVEL": "info"}.items():
        monkeypatch.setenv(f"GRAFTLINE_{name}", value)
    monkeypatch.setattr(kubeflow_client, "PROJECT", tmp_path)  # where the YAML is written
    monkeypatch.setattr(kubeflow_client, "revision", lambda: "0123456789ab")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["client", *arguments])
        with ThreadPoolExecutor(1) as thread:  # KFP looks through the stack at every step: pytest's takes 5 s
            return thread.submit(kubeflow_client.main).result(), *capsys.readouterr()

    return run


def test_a_run_without_an_image_is_refused_before_anything_is_sent(server, command):
    exit_status, _, error = command("run", "--set", "span=latest")
    assert exit_status == 1 and error.startswith("cluster.image is not set: ")
    assert server.asked == []


def test_commands_compile_run_schedule_and_unschedule(server, command, monkeypatch):
    monkeypatch.setenv("GRAFTLINE_CLUSTER__IMAGE", "registry.example/graftline:1")
    exit_status, shown, _ = command("run", "--set", "phase_1_epochs=2")
    (version,), (made,) = server.kept["versions"], server.kept["runs"]
    assert exit_status == 0 and f"Started digits {version['display_name']}: run {made['run_id']}." in shown
    assert made["runtime_config"]["parameters"] == {"phase_1_epochs": 2}

    exit_status, shown, _ = command("schedule", "--cron", NIGHTLY)
    days = [f"{time:%Y-%m-%d} 03:00:00" for time in kubeflow_client.next_times(NIGHTLY, "Europe/Berlin", 3)]
    told = f"Scheduled digits at '{NIGHTLY}', read in Europe/Berlin (cluster.time_zone); next: {', '.join(days)}."
    assert exit_status == 0 and told in shown
    assert len(server.kept["versions"]) == 1  # compiled to the same

    assert command("unschedule")[:2] == (0, "Removed 1 schedule of digits.\n")
    assert server.kept["recurringruns"] == []
