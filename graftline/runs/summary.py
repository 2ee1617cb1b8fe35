"""The summary at the end of a run, read from the metadata store."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2

from graftline.artifacts import data_review, duplicates, held_out, verdict
from graftline.artifacts import push as noted
from graftline.artifacts.data_review import Review
from graftline.artifacts.examples import COUNTS, GIVEN, LEFT_OUT, LEFT_OUT_FILE, SKIPPED
from graftline.artifacts.exports import EXPORTS_FILE
from graftline.artifacts.history import HISTORY_FILE, taken
from graftline.artifacts.infra_blessing import BLESSED, MEASURED, REASONS, RULES
from graftline.artifacts.predictions import TABLE_FILE
from graftline.artifacts.report_files import PAGE
from graftline.artifacts.verdict import Rule, figure
from graftline.base import console
from graftline.base.aliases import shown
from graftline.base.counted import counted
from graftline.base.states import State
from graftline.runs import store
from graftline.runs.store import Node
from graftline.settings.settings import Settings


def read(settings: Settings, run_id: str) -> list[Node]:
    """Returns the nodes of a run in the order they ran; if another run judged its candidate again, those of that run.

    Args:
      settings: the run's settings.
      run_id: its id.
    """
    with store.opened(settings) as opened:
        return store.nodes(opened, run_id + store.AGAIN) or store.nodes(opened, run_id)


def show(nodes: list[Node]) -> None:
    """Prints what a run made: times, accuracies, the verdict and where the model was pushed.

    Args:
      nodes: those of a run that did not fail.
    """
    _show_nodes(nodes)
    _show_files(nodes)
    _show_copies(duplicates.read(_output(nodes, store.DUPLICATES).uri))
    _show_review(data_review.read(_output(nodes, store.REVIEW).uri))
    _show_accuracies(Path(_output(nodes, store.MODEL_RUN).uri, HISTORY_FILE))
    check = _output(nodes, store.INFRA_BLESSING).custom_properties
    _show_cross_validated(_output(nodes, store.EVALUATION).uri)
    _show_verdict(_output(nodes, store.EVALUATION).uri, verdict.loads(check[RULES].string_value))
    _show_serving(check)
    if exports := store.made(nodes, store.EXPORTS):
        _show_exports(Path(exports.uri, EXPORTS_FILE))
    _show_report(nodes)
    if table := store.made(nodes, store.PREDICTIONS):
        console.line(f"Photos without labels: {Path(table.uri, TABLE_FILE)}")
    pushed = _output(nodes, store.PUSHED).custom_properties["pushed"].int_value
    console.line(outcome(nodes), "bold green" if pushed else "bold red")


def _output(nodes: list[Node], output: store.Output) -> metadata_store_pb2.Artifact:
    artifact = store.made(nodes, output)
    assert artifact, output  # else the run would have failed
    return artifact


def outcome(nodes: list[Node]) -> str:
    """Says in one sentence how a run ended.

    Args:
      nodes: those of the run, failed ones too.
    """
    # A node that was killed stays in the state running
    states = {node.name: node.state for node in nodes if node.name != store.REPORT.node}
    failed = [name for name, state in states.items() if state not in (State.DONE, State.CACHED)]
    pusher, pushed = store.last(nodes, store.PUSHED.node), store.made(nodes, store.PUSHED)
    if failed or pusher is None or pushed is None:
        return f"Failed at {', '.join(failed) or 'the start'}: nothing was pushed."
    if taken_back := pushed.custom_properties[noted.REFUSED].string_value:
        return f"Not pushed: {taken_back}."
    if not pushed.custom_properties["pushed"].int_value:
        return "Not pushed: only blessed models that can be served are."
    place = shown(Path(pushed.custom_properties["pushed_destination"].string_value))
    if pusher.state == State.CACHED:
        return f"Nothing has changed, and nothing was pushed: an earlier run pushed this model to {place}"
    return f"Pushed to {place}"


def _show_report(nodes: list[Node]) -> None:
    if report := store.made(nodes, store.REPORT):
        console.line(f"Report: {shown(Path(report.uri, PAGE))}")
        return
    told = f"{store.REPORT.node} failed (see the error above), so there is no report; the next run tries again."
    console.line(f"Warning: {told}", "bold red")


def _show_nodes(nodes: list[Node]) -> None:
    rows = [
        [node.name, "cached", ""]
        if node.state == State.CACHED
        else [node.name, f"{node.seconds:.1f} s", console.gigabytes(node.peak_bytes)]
        for node in nodes
    ]
    rows.append(["all", f"{sum(node.seconds for node in nodes):.1f} s", ""])
    console.table("Components", ["component", "time", "peak memory"], rows)


def _show_files(nodes: list[Node]) -> None:
    """Prints how many files were used or left out, of the dataset and of photos without labels."""
    for examples in [node.outputs["examples"] for node in nodes if "examples" in node.outputs]:
        noted = {key: value.string_value for key, value in examples.custom_properties.items()}
        counts, left_out, skipped = (json.loads(noted.get(key) or "{}") for key in (COUNTS, LEFT_OUT, SKIPPED))
        if counts:
            used = ", ".join(f"{sum(classes.values()):,} {split}" for split, classes in counts.items())
            given = f". {noted[GIVEN]}" if noted.get(GIVEN) else ""
            console.line(f"Images: {used}{given}")
        if left_out:
            listed = Path(examples.uri, LEFT_OUT_FILE)
            console.line(f"Left out: {_files(left_out)}, listed in {listed}")
        if skipped:
            console.line(f"Not looked at: {_files(skipped)}")


def _files(reasons: Mapping[str, int]) -> str:
    named = ", ".join(f"{number:,} {reason}" for reason, number in Counter(reasons).most_common())
    return f"{counted(sum(reasons.values()), 'file')} ({named})"


def _show_copies(report: duplicates.Report) -> None:
    console.line(
        f"Copies: {report.copies:,} of {report.images:,} images; identical images under several labels: "
        f"{len(report.contradictions):,}; held-out images that look like one of another split: {report.leaked:,} of "
        f"{report.held_out:,}."
        + f" Test images that look like a training image and are not measured: {len(report.leaked_ids):,}."
        * bool(report.leaked_ids)
    )


def _show_review(review: Review) -> None:
    for unusual in review.unusual:
        console.line(f"Unusual {unusual}")
    if review.acceptance:
        console.line(f"Faults that would have stopped the run, {review.acceptance.told}", "bold")
        for fault in review.faults:
            console.line(f"  {fault}")


def _show_accuracies(history: Path) -> None:
    phases = json.loads(history.read_text())["phases"]
    rows = [
        [
            f"phase {phase['phase']}",
            taken(phase),
            f"{phase['validation_accuracy']:.4f}",
            f"{phase['test_accuracy']:.4f}",
        ]
        for phase in phases
    ]
    console.table("Accuracy", ["after", "weights of", "validation", "test"], rows, texts=2)


def _show_cross_validated(evaluation_uri: str) -> None:
    if found := held_out.read(evaluation_uri):
        low, high = found.interval
        console.line(
            f"Cross-validation: heads on the frozen backbone got {figure(found.accuracy)} of all {len(found.right):,} "
            f"images right without having learned from them (95 % interval {figure(low)} to {figure(high)})."
        )


def _show_verdict(evaluation_uri: str, of_serving: list[Rule]) -> None:
    decided = verdict.read(evaluation_uri)
    rows = [
        [rule.name, "yes" if rule.met else "no", rule.measured, rule.demanded, rule.spare]
        for rule in decided.rules + of_serving
    ]
    console.table("Verdict", ["rule", "met", "measured", "required", "margin"], rows, texts=2)
    for note in decided.notes:
        console.line(note)
    console.line(decided.outcome, "bold green" if decided.blessed else "bold red")


def _show_serving(check: Mapping[str, metadata_store_pb2.Value]) -> None:
    if not check[BLESSED].int_value:
        console.line(f"Cannot be served: {check[REASONS].string_value}.", "bold red")
        return
    measured = json.loads(check[MEASURED].string_value)
    one, many = (measured["latency_ms"][size]["median"] for size in ("1", "32"))
    console.line(
        f"Can be served: loads in {measured['load_s']:.1f} s, takes {measured['memory_gb']:.2f} GB, answers one image in "
        f"{one:.0f} ms and 32 in {many:.0f} ms."
    )


def _show_exports(path: Path) -> None:
    rows = [
        [
            export["name"],
            f"{export['size'] / 1e6:.2f} MB",
            f"{export['accuracy']:.4f}",
            f"{export['latency_ms']:.1f} ms",
            "yes" if export["kept"] else f"no: {export['reason']}",
        ]
        for export in json.loads(path.read_text())
    ]
    console.table("Smaller forms", ["name", "size", "test", "one image", "kept"], rows)
