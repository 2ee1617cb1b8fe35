"""The plain facts of a run, from its artifacts, for both the card and the report."""

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tfx.components.util import model_utils
from tfx.types import Artifact

from components.report import numbers
from components.report.content import Card, Counts, CrossValidated, Facts, Phase, Scores, Step, Verdict
from graftline.artifacts import data_review, duplicates, evaluation, held_out, intervals, verdict
from graftline.artifacts.data_review import Review
from graftline.artifacts.evaluation import CANDIDATE, Predictions
from graftline.artifacts.examples import COUNTS, FINGERPRINT, LEFT_OUT
from graftline.artifacts.exports import EXPORTS_FILE
from graftline.artifacts.forms import Export
from graftline.artifacts.history import HISTORY_FILE, taken
from graftline.artifacts.infra_blessing import MEASURED, REASONS, RULES
from graftline.artifacts.metrics import OVERALL
from graftline.artifacts.push import SERVED
from graftline.base.code import revision
from graftline.base.errors import UserError
from graftline.serving import versions
from graftline.serving.versions import PRODUCTION

LIBRARIES = ("tensorflow", "keras", "tfx", "openvino")
Inputs = dict[str, Artifact]


def card(inputs: Inputs, properties: dict[str, Any]) -> Card:
    """Returns what the card of a model says.

    Args:
      inputs: artifacts of CardGen's inputs by key, without the keys that have none.
      properties: its execution properties.
    """
    settings = json.loads(properties["settings"])
    history = json.loads(Path(inputs["model_run"].uri, HISTORY_FILE).read_text())
    answers, copies = evaluation.predictions(inputs["evaluation"].uri), duplicates.read(inputs["duplicates"].uri)
    return Card(
        verdict=_verdict(inputs, answers, Path(properties["push_to"])),
        phases=[_phase(phase) for phase in history["phases"]],
        numbers=_scores(inputs["evaluation"].uri, answers, history["temperature"]),
        data=_counts(inputs["examples"], copies, data_review.read(inputs["review"].uri)),
        facts=_facts(inputs, history, settings, properties),
        exports=_exports(inputs.get("exports")),
    )


def _scores(evaluation_uri: str, answers: Predictions, temperature: float | None) -> Scores:
    measured = evaluation.metrics(evaluation_uri)
    return Scores(
        classes=answers.classes,
        confusion=evaluation.counted(answers),
        scores=evaluation.class_scores(answers),
        calibration=numbers.calibrate(answers.labels, answers.candidate, temperature),
        measured={metric.key: measured[metric.key] for metric in OVERALL},
        macro_accuracy=evaluation.macro_accuracy(answers),
        examples=len(answers.labels),
    )


def _counts(examples: Artifact, copies: duplicates.Report, review: Review) -> Counts:
    return Counts(
        counts=json.loads(examples.get_string_custom_property(COUNTS)),
        left_out=json.loads(examples.get_string_custom_property(LEFT_OUT)),
        copies=copies.copies,
        contradictions=len(copies.contradictions),
        leaked=copies.leaked,
        unmeasured=len(copies.leaked_ids),
        held_out=copies.held_out,
        faults=review.faults,
        accepted=review.acceptance.told if review.acceptance else None,
    )


def _verdict(inputs: Inputs, answers: Predictions, push_to: Path) -> Verdict:
    blessing, infra = inputs["blessing"], inputs["infra_blessing"]
    unservable = infra.get_string_custom_property(REASONS)
    decided, served = verdict.read(inputs["evaluation"].uri), blessing.get_string_custom_property(SERVED)
    before = versions.folder_of(push_to, served) if served else None
    against = evaluation.compare(answers, PRODUCTION) if PRODUCTION in answers.opponents else None
    accuracies = evaluation.accuracies(answers)
    return Verdict(
        blessed=model_utils.is_model_blessed(blessing),
        servable=model_utils.is_infra_validated(infra),
        outcome=decided.outcome,
        reasons=[*decided.reasons, *([unservable] if unservable else [])],
        notes=decided.notes,
        rules=decided.rules + verdict.loads(infra.get_string_custom_property(RULES)),
        accuracy=accuracies[CANDIDATE],
        accuracy_interval=intervals.wilson(int(answers.right.sum()), max(len(answers.right), 1)),
        cross_validated=_cross_validated(inputs["evaluation"].uri),
        baseline_accuracy=accuracies.get(PRODUCTION),
        difference=against.difference if against else None,
        difference_interval=intervals.paired(against.right, against.other) if against else None,
        push_to=str(push_to),
        in_production=str(before) if before else None,
    )


def _cross_validated(evaluation_uri: str) -> CrossValidated | None:
    found = held_out.read(evaluation_uri)
    return CrossValidated(len(found.right), found.accuracy, found.interval) if found else None


def _served(infra: Artifact) -> dict[str, Any]:
    """Returns what ServingCheck measured; nothing if it could not, or if InfraValidator took its place."""
    return json.loads(infra.get_string_custom_property(MEASURED) or "{}")


def _phase(phase: dict[str, Any]) -> Phase:
    curves = {
        name: [epoch[name] for epoch in phase["epochs"]] for name in ("accuracy", "val_accuracy", "loss", "val_loss")
    }
    return Phase(
        number=phase["phase"],
        weights_of=taken(phase),
        validation_accuracy=phase["validation_accuracy"],
        test_accuracy=phase["test_accuracy"],
        **curves,
    )


def _facts(inputs: Inputs, history: dict[str, Any], settings: dict[str, Any], properties: dict[str, Any]) -> Facts:
    versions = {"python": platform.python_version()} | {name: metadata.version(name) for name in LIBRARIES}
    return Facts(
        name=settings["name"],
        dataset=settings["data"]["dataset"],
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        command=properties["command"],
        revision=_revision(),
        settings=settings,
        versions=versions,
        weights_source=history["weights"]["source"],
        weights_sha256=history["weights"]["sha256"],
        data_fingerprint=inputs["examples"].get_string_custom_property(FINGERPRINT),
        steps=[Step(**step) for step in json.loads(properties["steps"])],
        serving=_served(inputs["infra_blessing"]),
        parameters=history["parameters"],
        known=history["known"],
    )


def _revision() -> str:
    try:
        return revision()
    except UserError:  # a container image has no checkout
        return "unknown"


def _exports(exports: Artifact | None) -> list[Export]:
    if exports is None:
        return []
    return [Export(**export) for export in json.loads(Path(exports.uri, EXPORTS_FILE).read_text())]
