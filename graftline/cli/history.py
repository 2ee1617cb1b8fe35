"""Commands that look at past runs: `graftline runs`, `compare`, `report` and `tensorboard`."""

import json
import os
import sys
import webbrowser
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from graftline.base import console
from graftline.base.aliases import shown
from graftline.base.errors import UserError
from graftline.cli.options import about, json_option
from graftline.runs import history, pruning
from graftline.runs.history import LATEST, PRODUCTION, Values, alive, facts, find, local, metrics, read, state
from graftline.settings.section import flat, text
from graftline.settings.settings import Settings
from graftline.sources.kinds import source_of

SHOWN = 20  # runs to list without --all


def show_runs(settings: Settings, last: int | None, as_json: bool) -> None:
    """Prints the latest runs, latest first.

    Args:
      settings: those of the configuration.
      last: how many; None shows all.
      as_json: whether to print a list of objects for other programs instead of a table.

    Raises:
      UserError: if there is no run.
    """
    runs = read(settings, last)
    rows = [facts(settings, runs, run, alive(settings, runs, run)) for run in reversed(runs)]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    texts, figures = ["run", "started", "state", "dataset", "verdict", "baseline"], ["validation", "test", "time"]
    console.table(f"Runs of {settings.name}", texts + figures, [_row(row) for row in rows], len(texts))
    if runs[0].number > 1:
        console.line(f"Earlier runs: {runs[0].number - 1:,}; list them with `graftline runs --all`.")
    for line in pruning.told(settings):
        console.line(f"On disk: {line}.")


def _row(row: dict[str, Any]) -> list[str]:
    verdict = (
        f"pushed {row['pushed']}" if row["pushed"] else {True: "blessed", False: "refused", None: ""}[row["blessed"]]
    )
    if by := row["pushed_by"]:
        verdict += f", pushed {by['version']} by {by['who']}: {by['why']}"
    baseline = f"run {row['baseline_run']}" if row["baseline_run"] else "earlier" if row["baseline_digest"] else ""
    return [
        str(row["run"]),
        datetime.fromisoformat(row["started"]).strftime("%Y-%m-%d %H:%M"),
        row["state"],
        source_of(row["dataset"]).title if row["dataset"] else "",
        verdict,
        baseline,
        _by_phase(row, "validation"),
        _by_phase(row, "test"),
        _duration(row["seconds"]),
    ]


def _by_phase(row: dict[str, Any], split: str) -> str:
    return " → ".join(f"{accuracies[split]:.4f}" for accuracies in row["phases"].values())


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def show_pair(settings: Settings, one: str, other: str, as_json: bool) -> None:
    """Prints the settings and metrics of two runs side by side.

    Args:
      settings: those of the configuration.
      one: number or id of a run, latest or production.
      other: another one.
      as_json: whether to print an object for other programs instead of tables.

    Raises:
      UserError: if there is no such run.
    """
    runs = read(settings)
    pair = [find(settings, runs, name) for name in (one, other)]
    names = [f"run {run.number} ({local(run):%Y-%m-%d %H:%M})" for run in pair]
    kinds = {"Settings": [_flat(run.settings) for run in pair], "Metrics": [metrics(run) for run in pair]}
    if as_json:
        told = {title.lower(): dict(zip(names, both, strict=True)) for title, both in kinds.items()}
        print(json.dumps(told, indent=1))
        return
    for title, (first, second) in kinds.items():
        lines = [(key, first.get(key, ""), second.get(key, "")) for key in first | second]
        console.side_by_side(title, names, lines)
    bare = [f"{run.number}" for run in pair if not run.settings]
    if bare:
        console.line(f"The settings of run {' and '.join(bare)} were not recorded.")


def _flat(values: dict[str, Any]) -> Values:
    return {name: text(value) for name, value in flat(values)}


def show_report(settings: Settings, name: str) -> None:
    """Prints the path of a run's report, and opens it if there is a browser.

    Args:
      settings: those of the configuration.
      name: number or id of a run, latest or production.

    Raises:
      UserError: if the run has no report.
    """
    runs = read(settings)
    run = find(settings, runs, name)
    page = history.report(run)
    if page is None:
        others = [str(other.number) for other in reversed(runs) if history.report(other)]
        hint = (
            f"the latest run with one is {others[0]} (`graftline report {others[0]}`)"
            if others
            else "`graftline run` makes one"
        )
        raise UserError(f"Run {run.number} has no report ({state(run, alive(settings, runs, run))}): {hint}.")
    page = shown(page)
    console.line(str(page))
    webbrowser.open(page.as_uri())


def link_logs(settings: Settings) -> Path:
    """Makes a folder with a link to the curves of each run, named after the run, and returns it.

    Args:
      settings: those of the configuration.

    Raises:
      UserError: if no run has curves.
    """
    folder = settings.run.root / "tensorboard" / settings.name
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()
    for run in read(settings):
        trainer = run.node("Trainer")
        # From TFX's layout, because the artifact exists only when the Trainer is done
        logs = settings.pipeline_root / "Trainer" / "model_run" / str(trainer.id if trainer else "")
        if trainer and logs.is_dir():
            (folder / f"{run.number:03}_{local(run):%Y-%m-%d_%H.%M}").symlink_to(logs)
    if not any(folder.iterdir()):
        raise UserError(f"No run of {settings.name} has curves yet: `graftline run` writes some as soon as it trains.")
    return folder


def become_tensorboard(settings: Settings, port: int | None) -> None:
    """Replaces this process with TensorBoard, which shows all runs and only listens on this machine.

    Args:
      settings: those of the configuration.
      port: the port to listen on; None takes 6006 or the next free one.

    Raises:
      UserError: if no run has curves.
    """
    place = [
        "--logdir",
        str(link_logs(settings)),
        "--host",
        "127.0.0.1",
        *([] if port is None else ["--port", str(port)]),
    ]
    os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", *place])


@click.command()
@about(of_last_run=True)
@click.option("--all", "every", is_flag=True, help=f"List all runs, not only the latest {SHOWN}.")
@json_option
def runs(settings: Settings, every: bool, as_json: bool) -> None:
    """List past runs, latest first."""
    console.quiet(settings.run.log_level)
    show_runs(settings, None if every else SHOWN, as_json)


@click.command()
@click.argument("one", metavar="[A]", default=PRODUCTION)
@click.argument("other", metavar="[B]", default=LATEST)
@about(of_last_run=True)
@json_option
def compare(settings: Settings, one: str, other: str, as_json: bool) -> None:
    """Show two runs side by side. A and B are numbers or ids of `graftline runs`, latest or production.

    Without A and B, compare production with latest.
    """
    console.quiet(settings.run.log_level)
    show_pair(settings, one, other, as_json)


@click.command()
@click.argument("run", default=LATEST, required=False)
@about(of_last_run=True)
def report(settings: Settings, run: str) -> None:
    """Print the path of a run's report, by default the latest, and open it in the browser."""
    console.quiet(settings.run.log_level)
    show_report(settings, run)


@click.command()
@about(of_last_run=True)
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; by default 6006 or the next free one.")
def tensorboard(settings: Settings, port: int | None) -> None:
    """Show the curves of all runs; only this machine can connect."""
    become_tensorboard(settings, port)
