"""What past runs did, from the metadata store: `make runs`, `make compare`, `make report` and `make tensorboard`.

Everything is read from the properties of executions and artifacts, which stay when the artifacts' files are gone; only what
the Evaluator measured for each class is in its files.
"""

import argparse
import difflib
import json
import os
import re
import sys
import webbrowser
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2

import configuration
import console
import store
import work
from components import publishing
from settings import FOLDER_PREFIX, Settings, UserError
from store import Run

LATEST, PRODUCTION = "latest", "production"
SHOWN = 20  # runs that are listed where not all are asked for
PHASE = re.compile(r"phase_(\d+)_(validation|test)_accuracy")  # properties of a Model, see components/trainer.py
REPORT_NODE, REPORT_FILE = "ReportGen", "report.html"
SCORES = {"sparse_categorical_accuracy": "test accuracy", "sparse_categorical_crossentropy": "log loss"}

Values = dict[str, str]


def read(settings: Settings, last: int | None = None) -> list[Run]:
    """Returns the runs of a configuration, oldest first; at least one.

    Args:
      settings: those of the configuration.
      last: how many of the latest are read; None reads all.

    Raises:
      UserError: where there is none.
    """
    found = []
    if settings.metadata or settings.metadata_path.is_file():  # to open one that is not there would make it
        with store.opened(settings) as opened:
            found = store.runs(opened, settings.name, last)
    if not found:
        raise UserError(f"There is no run of {settings.name} yet: `make run` makes one.")
    return found


def find(settings: Settings, runs: list[Run], name: str) -> Run:
    """Returns a run by its number or id; `latest` and `production` are names too.

    Args:
      settings: those of the configuration.
      runs: all of its runs, oldest first.
      name: what the user calls it.

    Raises:
      UserError: where there is no such run, or nothing is in production.
    """
    if name == PRODUCTION:
        return _in_production(settings, runs)
    names = {str(run.number): run for run in runs} | {run.id: run for run in runs} | {LATEST: runs[-1]}
    if name in names:
        return names[name]
    close = difflib.get_close_matches(name, [*names, PRODUCTION], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"give a number up to {len(runs)}, latest or production."
    raise UserError(f"There is no run {name!r}: {hint} `make runs ALL=1` lists them.")


def _in_production(settings: Settings, runs: list[Run]) -> Run:
    """Returns the last run that pushed the model that is served; after a rollback that is an earlier one."""
    served = publishing.production(settings.push_dir)
    for run in reversed(runs):
        pusher, pushed = run.node("Pusher"), _properties(run, "PushedModel")
        if served and pusher and pusher.state == "done" and pushed["model_id"].int_value == served.model_id:
            return run
    raise UserError(f"No run of {settings.name} pushed what is in {settings.push_dir}: nothing of it is in production.")


def facts(runs: list[Run], run: Run, alive: bool) -> dict[str, Any]:
    """Returns what there is to tell of a run in a line, as JSON has it.

    Args:
      runs: among which the one that trained the baseline is looked for.
      run: one of them.
      alive: whether a process is still at it.
    """
    blessing = _properties(run, "ModelBlessing")
    pushed = _properties(run, "PushedModel")
    baseline = blessing["baseline_model_id"].int_value if "baseline_model_id" in blessing else None
    trained = {one.outputs["Model"].id: one.number for one in reversed(runs) if "Model" in one.outputs}
    return {
        "run": run.number,
        "id": run.id,
        "started": _local(run).isoformat(),
        "seconds": round((run.ended - run.started).total_seconds(), 1),
        "dataset": run.settings.get("data", {}).get("dataset"),
        "phases": _accuracies(run),
        "baseline_model": baseline,
        "baseline_run": trained.get(baseline) if baseline else None,
        "blessed": bool(blessing["blessed"].int_value) if "blessed" in blessing else None,
        "pushed": pushed["pushed_version"].string_value if "pushed_version" in pushed else None,
        "state": _state(run, alive),
    }


def _properties(run: Run, kind: str) -> Mapping[str, metadata_store_pb2.Value]:
    return run.outputs[kind].custom_properties if kind in run.outputs else {}


def _local(run: Run) -> datetime:
    return run.started.astimezone()


def _accuracies(run: Run) -> dict[str, dict[str, float]]:
    """Returns the accuracies after each phase, by split."""
    found: dict[str, dict[str, float]] = {}
    for name, value in sorted(_properties(run, "Model").items()):
        if match := PHASE.fullmatch(name):
            found.setdefault(match[1], {})[match[2]] = value.double_value
    return found


def _state(run: Run, alive: bool) -> str:
    states = {node.name: node.state for node in run.nodes}  # of a node that was tried again, the last
    failed = [name for name, state in states.items() if state == "failed"]
    running = [name for name, state in states.items() if state == "running"]
    if failed:
        return f"failed at {', '.join(failed)}"
    if running:
        return f"{'going on' if alive else 'stopped'} at {', '.join(running)}"
    if alive and "PushedModel" not in run.outputs:
        return "going on"
    made = [node.state for node in run.nodes if node.outputs]  # what only looks something up is never cached
    return "all cached" if made and set(made) == {"cached"} else "done"


def _alive(settings: Settings, runs: list[Run], run: Run) -> bool:
    """Whether a process may be at a run: of another machine's nothing is known."""
    return bool(settings.metadata) or (run is runs[-1] and work.holder(settings.run.root) is not None)


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
    found = [facts(runs, run, _alive(settings, runs, run)) for run in reversed(runs)]
    if as_json:
        print(json.dumps(found, indent=1))
        return
    texts, figures = ["run", "started", "state", "dataset", "verdict", "baseline"], ["validation", "test", "time"]
    console.table(f"Runs of {settings.name}", texts + figures, [_row(one) for one in found], len(texts))
    if runs[0].number > 1:
        console.line(f"{runs[0].number - 1:,} earlier ones: `make runs ALL=1`.")


def _row(one: dict[str, Any]) -> list[str]:
    verdict = (
        f"pushed {one['pushed']}" if one["pushed"] else {True: "blessed", False: "refused", None: ""}[one["blessed"]]
    )
    baseline = f"run {one['baseline_run']}" if one["baseline_run"] else "earlier" if one["baseline_model"] else ""
    return [
        str(one["run"]),
        datetime.fromisoformat(one["started"]).strftime("%Y-%m-%d %H:%M"),
        one["state"],
        _short(one["dataset"] or ""),
        verdict,
        baseline,
        _by_phase(one, "validation"),
        _by_phase(one, "test"),
        _duration(one["seconds"]),
    ]


def _short(dataset: str) -> str:
    return f"{Path(dataset).name}/" if dataset.startswith(FOLDER_PREFIX) else dataset


def _by_phase(one: dict[str, Any], split: str) -> str:
    return " → ".join(f"{accuracies[split]:.4f}" for accuracies in one["phases"].values())


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
    names = [f"run {run.number} ({_local(run):%Y-%m-%d %H:%M})" for run in pair]
    for title, kinds in (
        ("Settings", [_flat(run.settings) for run in pair]),
        ("Metrics", [_metrics(run) for run in pair]),
    ):
        first, second = kinds
        lines = [(key, first.get(key, ""), second.get(key, "")) for key in first | second]
        console.side_by_side(title, names, lines)
    bare = [f"{run.number}" for run in pair if not run.settings]
    if bare:
        console.line(f"The settings of run {' and '.join(bare)} were not kept then.")


def _flat(values: dict[str, Any], prefix: str = "") -> Values:
    """Returns nested settings by their whole keys, as text."""
    found: Values = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, str) else json.dumps(value)
    return found


def _metrics(run: Run) -> Values:
    """Returns everything measured in a run, by name, as text."""
    found: Values = {}
    for phase, accuracies in _accuracies(run).items():
        found |= {f"phase {phase}: {split} accuracy": f"{value:.4f}" for split, value in accuracies.items()}
    found |= _scores(run) | _verdict(run) | _serving(run)
    for node in run.nodes:
        if node.seconds:
            memory = "" if node.state == "cached" else f", {console.gigabytes(node.peak_bytes)}"
            found[node.name] = f"{node.state}, {node.seconds:.1f} s{memory}"
    return found


def _scores(run: Run) -> Values:
    """Returns what the Evaluator measured, as long as its files are there."""
    source = run.node("TfdsExampleGen")
    if source is None or "ModelEvaluation" not in run.outputs or not Path(run.outputs["ModelEvaluation"].uri).is_dir():
        return {}
    from components import evaluation  # with TensorFlow, which takes seconds

    counts = json.loads(source.outputs["Examples"].custom_properties["counts"].string_value)
    classes = list(counts["train"])  # in the order of their labels
    found = {}
    for key, value in evaluation.metrics(run.outputs["ModelEvaluation"].uri).items():
        title = SCORES.get(key.name, key.name.replace("_", " "))
        if key.label_name is None:  # of all examples
            found[title if key.class_id is None else f"{title} of {classes[key.class_id]}"] = f"{value:.4f}"
    return dict(sorted(found.items(), key=lambda item: (" of " in item[0], item[0])))


def _verdict(run: Run) -> Values:
    blessing, pushed = _properties(run, "ModelBlessing"), _properties(run, "PushedModel")
    found = {"blessed": "yes" if blessing["blessed"].int_value else "no"} if "blessed" in blessing else {}
    return found | ({"pushed": pushed["pushed_version"].string_value} if "pushed_version" in pushed else {})


def _serving(run: Run) -> Values:
    check = _properties(run, "InfraBlessing")
    measured = json.loads(check["measured"].string_value) if "measured" in check else {}
    if not measured:
        return {}
    found = {"serving: loads in": f"{measured['load_s']} s", "serving: takes": f"{measured['memory_gb']} GB"}
    for pictures, latency in measured["latency_ms"].items():
        found[f"serving: {pictures} at once, median and 99 %"] = f"{latency['median']} ms, {latency['p99']} ms"
    return found


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
    page = _report(run)
    if page is None:
        others = [str(other.number) for other in reversed(runs) if _report(other)]
        hint = (
            f"the latest that has one is {others[0]}, `make report RUN={others[0]}`"
            if others
            else "`make run` makes one"
        )
        raise UserError(f"Run {run.number} has no report ({_state(run, _alive(settings, runs, run))}): {hint}.")
    console.line(str(page))
    webbrowser.open(page.as_uri())


def _report(run: Run) -> Path | None:
    node = run.node(REPORT_NODE)
    pages = [Path(artifact.uri, REPORT_FILE) for artifact in node.outputs.values()] if node else []
    return next((page for page in pages if page.is_file()), None)


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
            (folder / f"{run.number:03}_{_local(run):%Y-%m-%d_%H.%M}").symlink_to(logs)
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
    settings = configuration.load_or_exit(data_is_here=False)
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


if __name__ == "__main__":
    sys.exit(main())
