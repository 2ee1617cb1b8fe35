"""Gathers what a report says from the artifacts of a run."""

import json
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from tfx.components.util import model_utils
from tfx.types import Artifact

from components.report import galleries, label_errors, numbers
from components.report.content import Data, Facts, Phase, Report, Step, Verdict
from components.report.galleries import Knowledge, Seen
from components.report.label_errors import Judged
from graftline.artifacts import data_review, duplicates, evaluation, verdict
from graftline.artifacts.examples import COUNTS, FINGERPRINT, LEFT_OUT, read_label_names
from graftline.artifacts.exports import EXPORTS_FILE
from graftline.artifacts.forms import Export
from graftline.artifacts.history import HISTORY_FILE
from graftline.artifacts.infra_blessing import MEASURED, REASONS, RULES
from graftline.base.code import revision
from graftline.base.errors import UserError
from graftline.serving import versions

SIZES = 5_000  # images whose size is shown, drawn at random where there are more
LIBRARIES = ("tensorflow", "keras", "tfx", "openvino")
Inputs = dict[str, Artifact]


def report(inputs: Inputs, properties: dict[str, Any]) -> Report:
    """Returns what the report of a run says.

    Args:
      inputs: artifacts of ReportGen's inputs, by key, without those that there are none of.
      properties: its execution properties.
    """
    settings = json.loads(properties["settings"])
    history = json.loads(Path(inputs["model_run"].uri, HISTORY_FILE).read_text())
    knowledge = _knowledge(inputs, history)
    seen = galleries.see(inputs["examples"].uri, knowledge.ids(), knowledge.rows())
    return Report(
        verdict=_verdict(inputs, knowledge, Path(properties["push_to"])),
        phases=[_phase(phase) for phase in history["phases"]],
        numbers=numbers.measure(
            inputs["evaluation"].uri, knowledge.predictions, knowledge.classes, _looks(knowledge, seen)
        ),
        galleries=galleries.galleries(knowledge, seen),
        data=_data(inputs, knowledge.copies, seen),
        facts=_facts(inputs, history, settings, properties),
        exports=_exports(inputs.get("exports")),
    )


def _knowledge(inputs: Inputs, history: dict[str, Any]) -> Knowledge:
    folders = {split: views[0] for split, views in history["features"].items()}
    gone = label_errors.missing(folders)
    copies = duplicates.read(inputs["duplicates"].uri)
    return Knowledge(
        classes=read_label_names(inputs["examples"].uri),
        predictions=evaluation.predictions(inputs["evaluation"].uri),
        copies=copies,
        judged=Judged.nothing() if gone else label_errors.find(folders, copies.series),
        gone=gone,
    )


def _verdict(inputs: Inputs, knowledge: Knowledge, push_to: Path) -> Verdict:
    pushed, infra = versions.production(push_to), inputs["infra_blessing"]
    unservable = infra.get_string_custom_property(REASONS)
    decided, accuracies = verdict.read(inputs["evaluation"].uri), evaluation.accuracies(inputs["evaluation"].uri)
    of_accuracy, of_difference = numbers.intervals(knowledge.predictions)
    return Verdict(
        blessed=model_utils.is_model_blessed(inputs["blessing"]),
        servable=model_utils.is_infra_validated(infra),
        reasons=[*decided.reasons, *([unservable] if unservable else [])],
        rules=decided.rules + verdict.loads(infra.get_string_custom_property(RULES)),
        accuracy=accuracies["candidate"],
        accuracy_interval=of_accuracy,
        baseline_accuracy=accuracies.get("baseline"),
        difference_interval=of_difference,
        push_to=str(push_to),
        in_production=str(push_to / str(pushed.version)) if pushed else None,
    )


def _served(infra: Artifact) -> dict[str, Any]:
    """Returns what ServingCheck measured; nothing where it could not, or InfraValidator stood in its place."""
    return json.loads(infra.get_string_custom_property(MEASURED) or "{}")


def _phase(phase: dict[str, Any]) -> Phase:
    curves = {
        name: [epoch[name] for epoch in phase["epochs"]] for name in ("accuracy", "val_accuracy", "loss", "val_loss")
    }
    return Phase(
        number=phase["phase"],
        validation_accuracy=phase["validation_accuracy"],
        test_accuracy=phase["test_accuracy"],
        **curves,
    )


def _looks(knowledge: Knowledge, seen: Seen) -> dict[str, tuple[np.ndarray, str]]:
    """Returns sizes and brightness of the test examples, in the order of the predictions."""
    ids = knowledge.predictions.image_ids
    return {
        "image size": (np.array([seen.pixels[image_id] for image_id in ids], float), "pixels"),
        "brightness": (np.array([seen.brightness[image_id] for image_id in ids]), "of 255"),
    }


def _data(inputs: Inputs, copies: duplicates.Report, seen: Seen) -> Data:
    total = len(seen.widths)
    shown = np.sort(np.random.default_rng(0).permutation(total)[:SIZES])
    examples, review = inputs["examples"], data_review.read(inputs["review"].uri)
    return Data(
        counts=json.loads(examples.get_string_custom_property(COUNTS)),
        widths=np.array(seen.widths)[shown],
        heights=np.array(seen.heights)[shown],
        size_classes=[seen.labels[number] for number in shown],
        left_out=json.loads(examples.get_string_custom_property(LEFT_OUT)),
        copies=copies.copies,
        contradictions=len(copies.contradictions),
        leaked=copies.leaked,
        unmeasured=len(copies.leaked_ids),
        held_out=copies.held_out,
        drift=review.unusual,
        drift_against="the data of the model in production" if inputs.get("baseline_statistics") else None,
        faults=review.faults,
        accepted=review.acceptance.told if review.acceptance else None,
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
    )


def _revision() -> str:
    try:
        return revision()
    except UserError:  # in an image there is no checkout
        return "unknown"


def _exports(exports: Artifact | None) -> list[Export]:
    if exports is None:
        return []
    return [Export(**export) for export in json.loads(Path(exports.uri, EXPORTS_FILE).read_text())]
