"""Past runs are listed and compared, and their reports and curves are found."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import tensorflow as tf

from graftline.base import console
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.cli.history import show_pair, show_runs
from graftline.runs import history, lock, store
from graftline.serving import versions
from graftline.settings.load import CONFIG_VARIABLE
from graftline.settings.settings import Settings
from tests.past import Made, Values, accurate, settings_of, write


@pytest.fixture
def settings(tmp_path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setattr(console.OUT, "width", 200)


def write_push(
    settings: Settings, run_id: str, phase_2: float = 0.9, version: str = "1", digest: str = ""
) -> dict[str, int]:
    """Writes a run that pushed its model."""
    model = write(settings, run_id, Made("Trainer", {"model": accurate(0.8, phase_2)}))["model"]
    blessing = Made("Evaluator", {"blessing": {"blessed": 1, "current_model_id": model, "served": ""}})
    pushed = Made("Pusher", {"pushed_model": {"pushed": 1, "pushed_version": version, "digest": digest or run_id}})
    return write(settings, run_id, blessing, pushed) | {"model": model}


def write_refusal(settings: Settings, run_id: str, baseline: str) -> None:
    """Writes a run whose candidate was worse than a baseline."""
    blessing: Values = {"blessed": 0, "served": baseline}
    trainer = Made("Trainer", {"model": accurate(0.7, 0.75)})
    write(
        settings,
        run_id,
        trainer,
        Made("Evaluator", {"blessing": blessing}),
        Made("Pusher", {"pushed_model": {"pushed": 0}}),
    )


def listed(settings: Settings) -> list[dict]:
    runs = history.read(settings)
    return [history.facts(settings, runs, run, history.alive(settings, runs, run)) for run in runs]


def program(settings: Settings, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command as `make` does."""
    variables = os.environ | {CONFIG_VARIABLE: settings.model_dump_json(exclude={"metadata"})} | environment
    command = [sys.executable, "-m", "graftline.cli", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)


def test_each_run_is_told_with_what_became_of_it(settings):
    first = write_push(settings, "a")
    write(
        settings,
        "b",
        *[
            Made(name, {kind: first[kind]}, store.CACHED)
            for name, kind in (("Trainer", "model"), ("Pusher", "pushed_model"))
        ],
    )
    write_refusal(settings, "c", "a")
    pushed, cached, refused = listed(settings)
    assert pushed | {"started": "", "seconds": 0} == {
        "run": 1,
        "id": "a",
        "started": "",
        "seconds": 0,
        "dataset": "digits",
        "phases": {"1": {"validation": 0.8, "test": 0.8}, "2": {"validation": 0.9, "test": 0.9}},
        "baseline_digest": None,
        "baseline_run": None,
        "blessed": True,
        "pushed": "1",
        "pushed_by": None,
        "state": "done",
    }
    assert (cached["state"], cached["phases"]) == ("all cached", pushed["phases"])
    assert (refused["state"], refused["blessed"], refused["pushed"], refused["baseline_run"]) == (
        "done",
        False,
        None,
        1,
    )


def test_the_latest_runs_are_printed_first_and_the_others_counted(settings, capsys):
    for run_id in "abc":
        write_push(settings, run_id)
    show_runs(settings, last=2, as_json=False)
    printed = capsys.readouterr().out
    assert "0.8000 → 0.9000" in printed
    assert printed.index("│ 3 ") < printed.index("│ 2 ")
    assert "│ 1 " not in printed
    assert "Earlier runs: 1; list them with `graftline runs --all`." in printed


def test_other_programs_get_json(settings):
    write_push(settings, "a")
    done = program(settings, "runs", "--json")
    assert done.returncode == 0, done.stderr
    assert [run["id"] for run in json.loads(done.stdout)] == ["a"]


def test_a_failed_node_is_named_unless_it_was_tried_again(settings):
    write(settings, "a", Made("Trainer", state=store.FAILED))
    assert listed(settings)[0]["state"] == "failed at Trainer"
    write(settings, "a", Made("Trainer", {"model": accurate(0.8, 0.9)}))
    assert listed(settings)[0]["state"] == "done"


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(settings):
    write(settings, "a", Made("TfdsExampleGen"), Made("Trainer", state=store.RUNNING))
    assert listed(settings)[0]["state"] == "stopped at Trainer"
    with lock.held(settings, lock.RUN):
        assert listed(settings)[0]["state"] == "going on at Trainer"


def test_without_a_run_that_is_said_and_no_store_is_made(settings):
    done = program(settings, "runs")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "There is no run of digits yet: `graftline run` makes one.\n"
    assert not settings.metadata_path.exists()


def test_another_pipeline_on_the_same_server_is_not_listed(settings):
    write_push(settings, "a")
    with store.opened(settings) as opened:
        assert store.runs(opened, "pets") == []


def test_runs_have_numbers_ids_and_names(settings, tmp_path):
    for number, run_id in enumerate(["one", "two"], 1):
        (tmp_path / run_id).mkdir()
        (tmp_path / run_id / "saved_model.pb").write_text(run_id)
        push = versions.publish(tmp_path / run_id, settings.push_dir)
        write_push(settings, run_id, version=str(number), digest=push.digest)
    runs = history.read(settings)
    assert [history.find(settings, runs, name).number for name in ("1", "one", "latest", "production")] == [1, 1, 2, 2]
    versions.roll_back(settings.push_dir, "calls cats dogs")
    assert history.find(settings, runs, "production").number == 1


@pytest.mark.parametrize(
    ("name", "hint"), [("twp", "did you mean two?"), ("17", "did you mean 1?"), ("#", "give a number up to 2")]
)
def test_an_unknown_run_is_answered_with_those_that_are_close(settings, name, hint):
    write_push(settings, "one")
    write_push(settings, "two")
    with pytest.raises(UserError, match=f"There is no run '{name}': ") as caught:
        history.find(settings, history.read(settings), name)
    assert hint in str(caught.value)


def test_nothing_in_production_is_said(settings):
    write_push(settings, "a")
    with pytest.raises(UserError, match="No run of digits has its model in production"):
        history.find(settings, history.read(settings), "production")


def test_lines_that_differ_are_marked_and_no_others(settings, tmp_path, capsys):
    write_push(settings, "a", phase_2=0.9)
    write_push(settings_of(tmp_path, training={"seed": 7}), "b", phase_2=0.95, version="2")
    show_pair(settings, "1", "2", as_json=False)
    marks = {
        cells[2].strip(): cells[1].strip()
        for line in capsys.readouterr().out.splitlines()
        if len(cells := line.split("│")) > 3
    }
    assert {name for name, mark in marks.items() if mark} == {
        "training.seed",
        "phase 2: validation accuracy",
        "phase 2: test accuracy",
        "pushed",
    }
    assert marks["training.batch_size"] == marks["phase 1: test accuracy"] == marks["blessed"] == ""


def write_report(settings: Settings, run_id: str, folder: Path) -> Path:
    folder.mkdir()
    (folder / "report.html").write_text("<title>A run</title>")
    write(settings, run_id, Made("ReportGen", {"report": {}}, uri=str(folder)))
    return folder / "report.html"


def test_the_report_is_opened_in_the_browser(settings, tmp_path):
    page = write_report(settings, "a", tmp_path / "report")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    done = program(settings, "report", BROWSER=f"{browser} %s")
    assert (done.returncode, done.stdout) == (0, f"{page}\n")
    assert (tmp_path / "opened").read_text() == f"{page.as_uri()}\n"


def test_without_a_browser_the_path_is_printed(settings, tmp_path):
    page = write_report(settings, "a", tmp_path / "report")
    done = program(settings, "report", "1", BROWSER="/no/browser", PATH="/no", DISPLAY="", WAYLAND_DISPLAY="")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{page}\n", "")


def test_a_run_without_a_report_says_why_and_which_has_one(settings, tmp_path):
    write_report(settings, "a", tmp_path / "report")
    write(settings, "b", Made("Trainer", state=store.FAILED))
    done = program(settings, "report")
    assert done.returncode == 1
    assert (
        done.stderr == "Run 2 has no report (failed at Trainer): the latest run with one is 1 (`graftline report 1`).\n"
    )


def test_tensorboard_shows_the_curves_of_all_runs_by_readable_names(settings):
    for run_id in "ab":
        write_push(settings, run_id)
    for run in history.read(settings):
        logs = settings.pipeline_root / "Trainer/model_run" / str(run.nodes[0].id)
        with tf.summary.create_file_writer(f"{logs}/phase_1").as_default():
            tf.summary.scalar("accuracy", 0.9, step=1)
    names = sorted(
        f"{run.number:03}_{run.started.astimezone():%Y-%m-%d_%H.%M}/phase_1" for run in history.read(settings)
    )
    variables = os.environ | {CONFIG_VARIABLE: settings.model_dump_json(exclude={"metadata"})}
    command = [sys.executable, "-m", "graftline.cli", "tensorboard", "--port", "0"]
    with subprocess.Popen(command, cwd=PROJECT, env=variables, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            address = next(line.split(" at ")[1].split()[0] for line in process.stderr if " at http://" in line)
            assert _shown(address, len(names)) == names
        finally:
            process.terminate()


def _shown(address: str, count: int) -> list[str]:
    """Returns the runs that TensorBoard shows, once there are that many; it reads them in the background."""
    for _ in range(100):
        with urllib.request.urlopen(f"{address}data/runs") as answer:
            found = sorted(json.load(answer))
        if len(found) >= count:
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def test_a_component_of_ones_own_hides_nothing_with_outputs_of_the_same_types(settings):
    write_push(settings, "a")
    write(
        settings,
        "a",
        Made("SecondOpinion", {"model": accurate(0.1, 0.1), "blessing": {"blessed": 0}, "pushed_model": {}}),
    )
    (told,) = listed(settings)
    assert (told["blessed"], told["pushed"]) == (True, "1")
    assert told["phases"]["2"] == {"validation": 0.9, "test": 0.9}
