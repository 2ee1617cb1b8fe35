"""Gathers what a report says from the artifacts of a run: the plain facts, and what follows from them."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from components.report import advice, facts, galleries, label_errors, numbers, suspicions
from components.report.content import Advice, Counts, Data, Report
from components.report.facts import Inputs
from components.report.galleries import Knowledge, Seen
from components.report.label_errors import Judged
from graftline.artifacts import data_review, duplicates, evaluation
from graftline.artifacts.examples import read_label_names
from graftline.artifacts.history import HISTORY_FILE
from graftline.features import pooled

SIZES = 5_000  # images whose size is shown, drawn at random if there are more


def report(inputs: Inputs, properties: dict[str, Any]) -> Report:
    """Returns what the report of a run says.

    Args:
      inputs: artifacts of ReportGen's inputs by key, without the keys that have none.
      properties: its execution properties.
    """
    card, knowledge = facts.card(inputs, properties), _knowledge(inputs)
    seen = galleries.see(inputs["examples"].uri, knowledge.shown(), knowledge.named())
    return Report(
        verdict=card.verdict,
        phases=card.phases,
        numbers=numbers.measure(
            inputs["evaluation"].uri,
            knowledge.predictions,
            knowledge.classes,
            _looks(knowledge, seen),
            card.numbers.calibration.temperature,
        ),
        galleries=galleries.galleries(knowledge, seen),
        data=_data(inputs, card.data, seen),
        facts=card.facts,
        exports=card.exports,
        advice=_advice(inputs, knowledge),
        findings=suspicions.find(knowledge, seen, inputs["examples"].uri),
    )


def _knowledge(inputs: Inputs) -> Knowledge:
    history = json.loads(Path(inputs["model_run"].uri, HISTORY_FILE).read_text())
    folders = {split: views[0] for split, views in history["features"].items()}
    gone = pooled.missing(folders)
    copies = duplicates.read(inputs["duplicates"].uri)
    return Knowledge(
        classes=read_label_names(inputs["examples"].uri),
        predictions=evaluation.predictions(inputs["evaluation"].uri),
        copies=copies,
        features=folders,
        balanced=history["balanced"],
        judged=Judged.nothing() if gone else label_errors.find(folders, copies.series),
        gone=gone,
    )


def _advice(inputs: Inputs, knowledge: Knowledge) -> Advice | None:
    if knowledge.gone:
        return None
    found = knowledge.features, knowledge.copies.series, knowledge.classes, knowledge.balanced
    return advice.find(inputs["evaluation"].uri, *found)


def _looks(knowledge: Knowledge, seen: Seen) -> dict[str, tuple[np.ndarray, str]]:
    """Returns sizes and brightness of the test examples, in the order of the predictions."""
    ids = knowledge.predictions.image_ids
    return {
        "image size": (np.array([seen.pixels[image_id] for image_id in ids], float), "pixels"),
        "brightness": (np.array([seen.brightness[image_id] for image_id in ids]), "of 255"),
    }


def _data(inputs: Inputs, counts: Counts, seen: Seen) -> Data:
    total = len(seen.widths)
    shown = np.sort(np.random.default_rng(0).permutation(total)[:SIZES])
    review = data_review.read(inputs["review"].uri)
    return Data(
        **{one.name: getattr(counts, one.name) for one in fields(counts)},
        widths=np.array(seen.widths)[shown],
        heights=np.array(seen.heights)[shown],
        size_classes=[seen.labels[number] for number in shown],
        drift=review.unusual,
        drift_against="the data of the model in production" if inputs.get("baseline_statistics") else None,
    )
