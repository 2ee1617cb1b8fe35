"""Says what past runs did, from the metadata store.

Nearly everything comes from properties of executions and artifacts, which stay when the artifacts' files are gone. Only what
the Evaluator measured for each class is in its files.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from ml_metadata.proto import metadata_store_pb2

from graftline.artifacts import push as noted
from graftline.artifacts import verdict
from graftline.artifacts.findings import FINDINGS_FILE
from graftline.artifacts.infra_blessing import MEASURED, RULES
from graftline.artifacts.metrics import OVERALL
from graftline.artifacts.report_files import CARDS, PAGE
from graftline.base import console
from graftline.base.errors import UserError
from graftline.base.states import State
from graftline.runs import lock, store
from graftline.runs.store import Run
from graftline.serving import pushes, versions
from graftline.settings.settings import Settings

LATEST, PRODUCTION = "latest", "production"
PHASE = re.compile(
    r"phase_(\d+)_(validation|test)_accuracy"
)  # properties of a Model, see components/trainer/executor.py

Values = dict[str, str]


def read(settings: Settings, last: int | None = None) -> list[Run]:
    """Returns the runs of a configuration, oldest first; at least one.

    Args:
      settings: those of the configuration.
      last: how many of the latest to read; None reads all.

    Raises:
      UserError: if there is none.
    """
    runs = []
    if settings.metadata or settings.metadata_path.is_file():  # opening a missing file would create it
        with store.opened(settings) as opened:
            runs = store.runs(opened, settings.name, last)
    if not runs:
        raise UserError(f"There is no run of {settings.name} yet: `graftline run` makes one.")
    return runs


def find(settings: Settings, runs: list[Run], name: str) -> Run:
    """Returns a run by its number or id, or by the names `latest` and `production`.

    Args:
      settings: those of the configuration.
      runs: all of its runs, oldest first.
      name: what the user calls it.

    Raises:
      UserError: if there is no such run, or no run has a model in production.
    """
    if name == PRODUCTION:
        return _in_production(settings, runs)
    names = {str(run.number): run for run in runs} | {run.id: run for run in runs} | {LATEST: runs[-1]}
    if name in names:
        return names[name]
    close = difflib.get_close_matches(name, [*names, PRODUCTION], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"give a number up to {len(runs)}, latest or production."
    raise UserError(f"There is no run {name!r}: {hint} `graftline runs --all` lists them.")


def _in_production(settings: Settings, runs: list[Run]) -> Run:
    """Returns the last run that pushed the model in production; after a rollback that is an earlier one."""
    served = versions.served(settings.push_dir)
    for run in reversed(runs):
        pusher, pushed = run.node("Pusher"), _properties(run, store.PUSHED)
        if served and pusher and pusher.state is State.DONE and pushed[noted.DIGEST].string_value == served:
            return run
    raise UserError(
        f"No run of {settings.name} has its model in production in {settings.push_dir}: name a run by its number; "
        "`graftline runs --all` lists them."
    )


def facts(settings: Settings, runs: list[Run], run: Run, alive: bool) -> dict[str, Any]:
    """Returns what a line of `graftline runs` says about a run, in the form of its JSON.

    Args:
      settings: those of the configuration.
      runs: the runs to search for the one that pushed the baseline.
      run: one of them.
      alive: whether a process is still working on it.
    """
    blessing = _properties(run, store.BLESSING)
    pushed = _properties(run, store.PUSHED)
    baseline = blessing[noted.SERVED].string_value if noted.SERVED in blessing else ""
    pushers = {
        _properties(other, store.PUSHED)[noted.DIGEST].string_value: other.number
        for other in reversed(runs)
        if noted.DIGEST in _properties(other, store.PUSHED)
    }
    return {
        "run": run.number,
        "id": run.id,
        "started": local(run).isoformat(),
        "seconds": round((run.ended - run.started).total_seconds(), 1),
        "dataset": run.settings.get("data", {}).get("dataset"),
        "phases": _accuracies(run),
        "baseline_digest": baseline or None,
        "baseline_run": pushers.get(baseline),
        "blessed": bool(blessing["blessed"].int_value) if "blessed" in blessing else None,
        "pushed": pushed["pushed_version"].string_value if "pushed_version" in pushed else None,
        "pushed_by": _by_a_person(settings, run),
        "state": state(run, alive),
    }


def _by_a_person(settings: Settings, run: Run) -> dict[str, Any] | None:
    """Returns who pushed the model of a run although the gate had refused it; None if nobody did."""
    told = [push for push in pushes.read(settings.push_dir) if push.run == run.id]
    return {"who": told[-1].who, "why": told[-1].why, "version": str(told[-1].version)} if told else None


def _properties(run: Run, output: store.Output) -> Mapping[str, metadata_store_pb2.Value]:
    artifact = run.output(output)
    return artifact.custom_properties if artifact else {}


def local(run: Run) -> datetime:
    """Returns when a run started, in this machine's time zone."""
    return run.started.astimezone()


def _accuracies(run: Run) -> dict[str, dict[str, float]]:
    """Returns the accuracies after each phase, by split."""
    by_phase: dict[str, dict[str, float]] = {}
    for name, value in sorted(_properties(run, store.MODEL).items()):
        if match := PHASE.fullmatch(name):
            by_phase.setdefault(match[1], {})[match[2]] = value.double_value
    return by_phase


def state(run: Run, alive: bool) -> str:
    """Says how far a run has come, or how it ended."""
    states = {node.name: node.state for node in run.nodes}  # the last state of a node that was tried again
    failed = [name for name, state in states.items() if state is State.FAILED]
    running = [name for name, state in states.items() if state is State.RUNNING]
    if failed:
        return f"failed at {', '.join(failed)}"
    if running:
        return f"{'going on' if alive else 'stopped'} at {', '.join(running)}"
    if alive and not run.output(store.PUSHED):
        return "going on"
    made = [node.state for node in run.nodes if node.outputs]  # nodes that only look something up are never cached
    return "all cached" if made and set(made) == {State.CACHED} else "done"


def alive(settings: Settings, runs: list[Run], run: Run) -> bool:
    """Returns whether a process may be working on a run; with a metadata server that is unknown, so one may."""
    return bool(settings.metadata) or (run is runs[-1] and lock.holder(settings) is not None)


def metrics(run: Run) -> Values:
    """Returns everything measured in a run, by name, as text."""
    values: Values = {}
    for phase, accuracies in _accuracies(run).items():
        values |= {f"phase {phase}: {split} accuracy": f"{value:.4f}" for split, value in accuracies.items()}
    values |= _scores(run) | _verdict(run) | _serving(run)
    for node in run.nodes:
        if node.seconds:
            memory = "" if node.state is State.CACHED else f", {console.gigabytes(node.peak_bytes)}"
            values[node.name] = f"{node.state}, {node.seconds:.1f} s{memory}"
    return values


def _scores(run: Run) -> Values:
    """Returns what the Evaluator measured, as long as its files exist."""
    evaluated = run.output(store.EVALUATION)
    if evaluated is None or not Path(evaluated.uri).is_dir():
        return {}
    from graftline.artifacts import evaluation  # imports TensorFlow, which takes seconds

    measured = evaluation.metrics(evaluated.uri)
    values = {metric.title: metric.shown(measured[metric.key]) for metric in OVERALL if metric.key in measured}
    for score in evaluation.class_scores(evaluation.predictions(evaluated.uri)):
        values |= {f"{name} of {score.name}": f"{getattr(score, name):.4f}" for name in ("precision", "recall", "f1")}
    return values


def _verdict(run: Run) -> Values:
    """Returns each rule of the gate, as long as the Evaluator's files exist, and the outcome."""
    evaluated, values = run.output(store.EVALUATION), Values()
    blessing, pushed = _properties(run, store.BLESSING), _properties(run, store.PUSHED)
    if evaluated and Path(evaluated.uri, verdict.VERDICT_FILE).is_file():
        values = _rules(verdict.read(evaluated.uri).rules)
    if "blessed" in blessing:
        values["blessed"] = "yes" if blessing["blessed"].int_value else "no"
    return values | ({"pushed": pushed["pushed_version"].string_value} if "pushed_version" in pushed else {})


def _rules(rules: list[verdict.Rule]) -> Values:
    return {f"demanded: {rule.name}": f"{rule.measured}, {rule.demanded}" for rule in rules}


def _serving(run: Run) -> Values:
    check = _properties(run, store.INFRA_BLESSING)
    values = _rules(verdict.loads(check[RULES].string_value)) if RULES in check else {}
    measured = json.loads(check[MEASURED].string_value) if MEASURED in check else {}
    for images, latency in measured.get("latency_ms", {}).items():
        values[f"serving: {images} at once, median and 99 %"] = f"{latency['median']} ms, {latency['p99']} ms"
    return values


def report(run: Run) -> Path | None:
    """Returns the page of a run's report; None if it has none."""
    found = _files(run, store.REPORT, [PAGE])
    return found[0] if found else None


def findings(run: Run) -> Path | None:
    """Returns the table of a run's findings; None if it has none."""
    found = _files(run, store.REPORT, [FINDINGS_FILE])
    return found[0] if found else None


def cards(run: Run) -> list[Path]:
    """Returns the files of the card of a run's model; an empty list if it has none."""
    return _files(run, store.CARD, CARDS)


def _files(run: Run, output: store.Output, names: Sequence[str]) -> list[Path]:
    artifact = run.output(output)
    paths = [Path(artifact.uri, name) for name in names] if artifact else []
    return [path for path in paths if path.is_file()]
