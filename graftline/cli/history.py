"""Past runs, shown: `make runs`, `make compare`, `make report` and `make tensorboard`."""

import argparse
import json
import os
import sys
import webbrowser
from datetime import datetime
from pathlib import Path
from typing import Any

from graftline.base import console
from graftline.base.errors import UserError
from graftline.runs import pruning
from graftline.runs.history import LATEST, Values, alive, facts, find, local, metrics, read, report, state
from graftline.settings.load import load_or_exit
from graftline.settings.settings import Settings
from graftline.sources.kinds import source_of

SHOWN = 20  # runs that are listed where not all are asked for


def show_runs(settings: Settings, last: int | None, as_json: bool) -> None:
    """Prints the latest runs, latest first.

    Args:
      settings: those of the configuration.
      last: how many; None shows all.
      as_json: prints a list of objects for other programs instead of a table.

    Raises:
      UserError: where there is none.
    """
    runs = read(settings, last)
    rows = [facts(runs, run, alive(settings, runs, run)) for run in reversed(runs)]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    texts, figures = ["run", "started", "state", "dataset", "verdict", "baseline"], ["validation", "test", "time"]
    console.table(f"Runs of {settings.name}", texts + figures, [_row(row) for row in rows], len(texts))
    if runs[0].number > 1:
        console.line(f"{runs[0].number - 1:,} earlier ones: `make runs ALL=1`.")
    for line in pruning.told(settings):
        console.line(f"On the disk, {line}.")


def _row(row: dict[str, Any]) -> list[str]:
    verdict = (
        f"pushed {row['pushed']}" if row["pushed"] else {True: "blessed", False: "refused", None: ""}[row["blessed"]]
    )
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


def compare(settings: Settings, one: str, other: str) -> None:
    """Prints settings and metrics of two runs side by side.

    Args:
      settings: those of the configuration.
      one: number or id of a run, latest or production.
      other: the same.

    Raises:
      UserError: where there is no such run.
    """
    runs = read(settings)
    pair = [find(settings, runs, name) for name in (one, other)]
    names = [f"run {run.number} ({local(run):%Y-%m-%d %H:%M})" for run in pair]
    for title, kinds in (
        ("Settings", [_flat(run.settings) for run in pair]),
        ("Metrics", [metrics(run) for run in pair]),
    ):
        first, second = kinds
        lines = [(key, first.get(key, ""), second.get(key, "")) for key in first | second]
        console.side_by_side(title, names, lines)
    bare = [f"{run.number}" for run in pair if not run.settings]
    if bare:
        console.line(f"The settings of run {' and '.join(bare)} were not kept then.")


def _flat(values: dict[str, Any], prefix: str = "") -> Values:
    """Returns nested settings by their whole keys, as text."""
    flat: Values = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def show_report(settings: Settings, name: str) -> None:
    """Prints the path of a run's report, and opens it in a browser where there is one.

    Args:
      settings: those of the configuration.
      name: number or id of a run, latest or production.

    Raises:
      UserError: where the run has no report.
    """
    runs = read(settings)
    run = find(settings, runs, name)
    page = report(run)
    if page is None:
        others = [str(other.number) for other in reversed(runs) if report(other)]
        hint = (
            f"the latest that has one is {others[0]}, `make report RUN={others[0]}`"
            if others
            else "`make run` makes one"
        )
        raise UserError(f"Run {run.number} has no report ({state(run, alive(settings, runs, run))}): {hint}.")
    console.line(str(page))
    webbrowser.open(page.as_uri())


def link_logs(settings: Settings) -> Path:
    """Makes a folder with a link to the curves of each run, named after it, and returns it.

    Args:
      settings: those of the configuration.

    Raises:
      UserError: where no run has curves.
    """
    folder = settings.run.root / "tensorboard" / settings.name
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()
    for run in read(settings):
        trainer = run.node("Trainer")
        # By TFX's layout, not from the artifact, which is only there when the Trainer is done
        logs = settings.pipeline_root / "Trainer" / "model_run" / str(trainer.id if trainer else "")
        if trainer and logs.is_dir():
            (folder / f"{run.number:03}_{local(run):%Y-%m-%d_%H.%M}").symlink_to(logs)
    if not any(folder.iterdir()):
        raise UserError(f"No run of {settings.name} has curves: `make run` makes some as soon as it trains.")
    return folder


def tensorboard(settings: Settings, port: int | None) -> None:
    """Becomes TensorBoard, on this machine alone, over all runs.

    Args:
      settings: those of the configuration.
      port: where it listens; None takes 6006 or the next free one.

    Raises:
      UserError: where no run has curves.
    """
    place = [
        "--logdir",
        str(link_logs(settings)),
        "--host",
        "127.0.0.1",
        *([] if port is None else ["--port", str(port)]),
    ]
    os.execv(sys.executable, [sys.executable, "-m", "tensorboard.main", *place])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    programs = parser.add_subparsers(dest="program", required=True)
    listing = programs.add_parser("runs", help="list past runs, latest first")
    listing.add_argument("--all", action="store_true", help=f"not only the latest {SHOWN}")
    listing.add_argument("--json", action="store_true", help="for other programs")
    comparing = programs.add_parser("compare", help="show two runs side by side")
    for name in ("one", "other"):
        comparing.add_argument(name, help="number or id of a run, latest or production")
    programs.add_parser("report", help="open a run's report").add_argument("run", nargs="?", default=LATEST)
    programs.add_parser("tensorboard", help="curves of all runs").add_argument("--port", type=int)
    return parser.parse_args()


def main() -> int:
    """Does what the command line asks for; returns the exit status."""
    arguments = _arguments()
    settings = load_or_exit(data_is_here=False)
    console.quiet(settings.run.log_level)
    try:
        match arguments.program:
            case "runs":
                show_runs(settings, None if arguments.all else SHOWN, arguments.json)
            case "compare":
                compare(settings, arguments.one, arguments.other)
            case "report":
                show_report(settings, arguments.run)
            case "tensorboard":
                tensorboard(settings, arguments.port)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
