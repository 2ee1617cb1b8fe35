"""The `graftline kubeflow` commands: what they print, and their exit status."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.cli import kubeflow as commands
from graftline.cli.main import main
from graftline.settings.load import CONFIG_VARIABLE
from kubeflow import client as kubeflow_client
from kubeflow.parameters import checked
from kubeflow.schedules import next_times
from tests.kubeflow.asking import NIGHTLY, settings_of

DEFAULTS = {"span": "latest", "phase_1_epochs": 10, "min_accuracy": 0.9, "force_retrain": False}


def test_parameters_take_the_types_of_their_defaults():
    given = ["span=3", "phase_1_epochs=2", "min_accuracy=0.95", "force_retrain=true"]
    values = {"span": "3", "phase_1_epochs": 2, "min_accuracy": 0.95, "force_retrain": True}
    assert checked(given, DEFAULTS) == values
    assert checked([], DEFAULTS) == {}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "epochs=3",
            "no run parameter 'epochs': choose one of span, phase_1_epochs, min_accuracy, force_retrain.",
        ),
        ("phase_1_epochs=many", "phase_1_epochs = 'many' is not of type int: give a value such as the default, 10."),
        ("phase_1_epochs", "phase_1_epochs = '' is not of type int: give a value such as the default, 10."),
    ],
)
def test_parameters_that_are_unknown_or_of_another_type_are_refused(given, message):
    with pytest.raises(UserError, match=re.escape(message)):
        checked(["span=3", given], DEFAULTS)


def commanded(server, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    home.mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    environment |= {
        "HOME": str(home),
        CONFIG_VARIABLE: "digits",
        "GRAFTLINE_CLUSTER__ENDPOINT": server.url,
    }
    command = [sys.executable, "-m", "graftline.cli", "kubeflow", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60)


def test_the_command_line_tells_its_exit_status_and_writes_nothing_at_home(server, client, package, tmp_path):
    home = tmp_path / "user"
    failed = commanded(server, home, "status")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert re.fullmatch(
        r"Data: digits .*\nThere is no pipeline 'digits' in the namespace graftline of http://\S+: .*\.\n",
        failed.stderr,
    )

    started = kubeflow_client.run(client, settings_of(server.url, "digits"), package, {})
    done = commanded(server, home, "status")
    assert (done.returncode, done.stderr) == (0, "Data: digits (from GRAFTLINE_CONFIG)\n")
    assert re.search(rf"{started.run_id}.*PENDING", done.stdout) and "Not scheduled." in done.stdout
    assert list(home.rglob("*")) == []


@pytest.fixture
def command(server, monkeypatch, capsys, tmp_path):
    """Runs a command on the digits configuration, and returns exit status, standard output and standard error."""
    values = {"CONFIG": "digits", "CLUSTER__ENDPOINT": server.url, "CLUSTER__TIME_ZONE": "Europe/Berlin"}
    for name, value in {**values, "RUN__LOG_LEVEL": "info"}.items():
        monkeypatch.setenv(f"GRAFTLINE_{name}", value)
    monkeypatch.setattr(commands, "OUTPUT", tmp_path)  # where the YAML is written
    monkeypatch.setattr(kubeflow_client, "revision", lambda: "0123456789ab")

    def run(*arguments):
        with ThreadPoolExecutor(1) as thread:  # KFP walks the stack at every step, which takes 5 s under pytest
            status = thread.submit(main, ["kubeflow", *arguments]).result()
        out, error = capsys.readouterr()
        return status, out, error.removeprefix("Data: digits (from GRAFTLINE_CONFIG)\n")

    return run


def test_a_run_without_an_image_is_refused_before_anything_is_sent(server, command):
    exit_status, _, error = command("run", "--param", "span=latest")
    assert exit_status == 1 and error.startswith("cluster.image is not set: ")
    assert server.asked == []


def test_commands_compile_run_schedule_and_unschedule(server, command, monkeypatch):
    monkeypatch.setenv("GRAFTLINE_CLUSTER__IMAGE", "registry.example/graftline:1")
    exit_status, shown, _ = command("run", "--param", "phase_1_epochs=2")
    (version,), (made,) = server.kept["versions"], server.kept["runs"]
    assert exit_status == 0 and f"Started digits {version['display_name']}: run {made['run_id']}." in shown
    assert made["runtime_config"]["parameters"] == {"phase_1_epochs": 2}

    exit_status, shown, _ = command("schedule", "--cron", NIGHTLY)
    days = [f"{time:%Y-%m-%d} 03:00:00" for time in next_times(NIGHTLY, "Europe/Berlin", 3)]
    told = f"Scheduled digits at '{NIGHTLY}', read in Europe/Berlin (cluster.time_zone); next: {', '.join(days)}."
    assert exit_status == 0 and told in shown
    assert told in command("schedule", "--cron", NIGHTLY.removeprefix("0 "))[1]  # five fields
    assert len(server.kept["versions"]) == 1  # compiled to the same

    assert command("unschedule")[:2] == (0, "Removed 1 schedule of digits.\n")
    assert server.kept["recurringruns"] == []


@pytest.mark.parametrize(
    "cron", ["0 3 * *", "0 0 3 * * * 2027", "0 99 3 * * *", "at three o clock of nights", "0 0 0 31 2 *"]
)
def test_a_bad_cron_is_refused_before_anything_is_sent(server, command, cron):
    exit_status, _, error = command("schedule", "--cron", cron)
    assert exit_status == 1
    assert re.fullmatch(rf"--cron '.*{re.escape(cron)}' (has \d fields|never matches a date).*\n", error)
    assert server.asked == []
