"""ReportGen as a whole: what it writes about a real evaluation, real images and cached features."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from tfx.types import standard_artifacts

from components.report import card_gen, component, gather
from graftline.artifacts import data_review, duplicates, held_out
from graftline.artifacts.data_review import Acceptance, DataReview, Review
from graftline.artifacts.examples import FINGERPRINT, LEFT_OUT_FILE, SPLITS, TEST, TRAIN, VALIDATION
from graftline.artifacts.findings import FINDINGS_FILE, Finding
from graftline.artifacts.held_out import HeldOut
from graftline.artifacts.history import HISTORY_FILE
from graftline.artifacts.infra_blessing import REASONS
from graftline.artifacts.push import SERVED
from graftline.artifacts.report import ModelCard, RunReport
from graftline.artifacts.report_files import CARDS, PAGE
from graftline.serving import versions
from graftline.settings.gate import Gate
from tests import oracle
from tests.clusters import clusters, write
from tests.oracle import CANDIDATE_ANSWERS, LABELS, NAMES

TRAINED = [0, 1] * 12
WRONG = 7  # number of the training image whose label is wrong
MEASURED = {"load_s": 1.0, "memory_gb": 1.5, "latency_ms": {"1": {"median": 8.0, "p99": 9.0}}}
EPOCH = {"accuracy": 0.7, "val_accuracy": 0.8, "loss": 0.5, "val_loss": 0.4, "seconds": 1.0}
PHASE = {
    "phase": 1,
    "epochs": [EPOCH],
    "weights_of": {"phase": 1, "epoch": 1},
    "validation_accuracy": 0.8,
    "test_accuracy": 0.8,
}
SETTINGS = {
    "name": "pets",
    "data": {"dataset": "folder:/photos/pets"},
    "model": {"backbone": "MobileNetV2", "image_size": 160},
    "gate": {"min_accuracy": 0.75},
    "serving": {},
}
STEP = {"name": "Trainer", "seconds": 9.5, "peak_bytes": 10**9, "cached": False, "inputs": []}


def artifact(kind, folder: Path, **properties: str | int):
    folder.mkdir(parents=True, exist_ok=True)
    made = kind()
    made.uri = str(folder)
    for name, value in properties.items():
        (made.set_int_custom_property if isinstance(value, int) else made.set_string_custom_property)(name, value)
    return made


@pytest.fixture
def features_of(tmp_path) -> dict[str, list[str]]:
    """Cached features of all splits, in which one training image is among those of the other class."""
    labels = {TRAIN: np.array(TRAINED), VALIDATION: np.array([0, 1]), TEST: np.array(LABELS)}
    true = labels[TRAIN].copy()
    true[WRONG] = 1 - true[WRONG]
    folders = {}
    for seed, split in enumerate(SPLITS):
        pooled = clusters(seed, true if split == TRAIN else labels[split])
        folders[split] = [write(tmp_path / "features" / f"{split}_plain", pooled, labels[split]), "a mirrored view"]
    return folders


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> Path:
    """A folder with examples, a candidate, and its evaluation against a baseline that is always right."""
    folder = tmp_path_factory.mktemp("judged")
    oracle.evaluate(folder, Gate(min_accuracy=0.75), CANDIDATE_ANSWERS, production=LABELS)
    oracle.write_split(folder / "examples", TRAIN, TRAINED, "train-")
    oracle.write_split(folder / "examples", VALIDATION, [0, 1], "validation-")
    Path(folder, "examples", LEFT_OUT_FILE).write_text(json.dumps({"id": "empty.jpg", "reason": "empty file"}) + "\n")
    return folder


@pytest.fixture
def inputs(tmp_path, judged, features_of) -> dict:
    """ReportGen's inputs by key, without those of a run with a baseline."""
    counts = {split: dict.fromkeys(NAMES[:2], 5) for split in SPLITS}
    history = {
        "phases": [PHASE],
        "temperature": 1.25,
        "weights": {"source": "none", "sha256": ""},
        "features": features_of,
        "parameters": 1234,
        "known": {"images": 22, "least": 0.5},
        "balanced": False,
    }
    run = artifact(standard_artifacts.ModelRun, tmp_path / "run")
    Path(run.uri, HISTORY_FILE).write_text(json.dumps(history))
    report = {
        "images": 36,
        "contradictions": [{"train-3": "dog", "train-4": "cat"}],
        "held_out": 12,
        "leaked": 1,
        "alike": [{TEST: "2", TRAIN: "train-2"}],
    }
    copies = artifact(duplicates.DuplicatesReport, tmp_path / "copies")
    Path(copies.uri, duplicates.REPORT_FILE).write_text(json.dumps(report))
    examples = artifact(
        standard_artifacts.Examples,
        judged / "examples",
        counts=json.dumps(counts),
        left_out=json.dumps({"empty file": 1}),
        **{FINGERPRINT: "f00"},
    )
    review = artifact(DataReview, tmp_path / "review")
    given = Acceptance("f00", "me", "2026-11-27T12:00:00+00:00", "a new camera")
    data_review.write(review.uri, Review(["width"], ["a class lost images"], given))
    infra = artifact(standard_artifacts.InfraBlessing, tmp_path / "infra", blessed=1, measured=json.dumps(MEASURED))
    return {
        "examples": examples,
        "model": artifact(standard_artifacts.Model, judged / "candidate"),
        "model_run": run,
        "duplicates": copies,
        "review": review,
        "evaluation": artifact(standard_artifacts.ModelEvaluation, judged / "evaluation"),
        "blessing": artifact(standard_artifacts.ModelBlessing, judged / "blessing", blessed=0),
        "infra_blessing": infra,
    }


@pytest.fixture
def properties(tmp_path) -> dict[str, str]:
    return {
        "settings": json.dumps(SETTINGS),
        "command": "graftline run pets",
        "push_to": str(tmp_path / "serving"),
        "steps": json.dumps([STEP]),
    }


def gallery(report, key: str):
    return next(found for found in report.galleries if found.key == key)


def test_the_page_is_written(inputs, properties, tmp_path):
    made = artifact(RunReport, tmp_path / "report")
    component.Executor().Do(
        {key: [one] for key, one in inputs.items()} | {"exports": []}, {"report": [made]}, properties
    )
    assert sorted(path.name for path in Path(made.uri).iterdir()) == [FINDINGS_FILE, PAGE]
    text = Path(made.uri, PAGE).read_text()
    assert "pets" in text
    assert "What would help" not in text, "the Evaluator did not cross-validate"


def test_of_a_small_set_the_page_tells_what_would_help(inputs, properties, features_of):
    evaluation = artifact(standard_artifacts.ModelEvaluation, Path(inputs["evaluation"].uri))
    folder = Path(properties["push_to"]).parent / "evaluation"
    shutil.copytree(evaluation.uri, folder)
    evaluation.uri = str(folder)
    held_out.write(evaluation.uri, HeldOut(np.arange(36) % 2, np.eye(2)[np.zeros(36, int)], np.arange(36) > 30, 0.01))
    report = gather.report(inputs | {"evaluation": evaluation}, properties)
    assert (report.verdict.cross_validated.images, report.verdict.cross_validated.accuracy) == (36, 0.5)
    assert {one.name for one in report.advice.classes} == set(NAMES[:2])
    shutil.rmtree(features_of[TEST][0])
    assert gather.report(inputs | {"evaluation": evaluation}, properties).advice is None


def test_what_deserves_a_look_is_told_with_what_to_do_about_it(inputs, properties):
    path = Path(inputs["duplicates"].uri, duplicates.REPORT_FILE)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"copied": [["train-5", "train-6"]]}))
    found = gather.report(inputs, properties).findings
    assert [one._replace(reason=re.sub(r": [\d.]+%.*", "", one.reason)) for one in found] == [
        Finding("train-3", "dog", "same image as train-4 (labeled cat)", ""),
        Finding("train-4", "cat", "same image as train-3 (labeled dog)", ""),
        Finding(f"train-{WRONG}", "dog", "likely label error", "move to cat"),
        Finding("train-6", "cat", "copy of train-5", "drop"),
        Finding("2", "cat", "in test, looks like train-2 in train"),
        Finding("empty.jpg", "", "left out: empty file", "drop"),
    ]


def test_the_card_needs_nothing_that_is_drawn_or_guessed(inputs, properties, tmp_path, features_of, monkeypatch):
    """A push needs the card, so a failure in plots, in the search for label errors or in the report must not stop it."""
    for name in ("page", "gather", "plots", "galleries", "label_errors"):
        monkeypatch.setitem(sys.modules, f"components.report.{name}", None)  # importing it fails
    made = artifact(ModelCard, tmp_path / "card")
    card_gen.Executor().Do({key: [one] for key, one in inputs.items()} | {"exports": []}, {"card": [made]}, properties)
    assert sorted(path.name for path in Path(made.uri).iterdir()) == sorted(CARDS)
    card = json.loads(Path(made.uri, CARDS[1]).read_text())
    assert card["verdict"]["accuracy"] == pytest.approx(0.8)
    assert card["verdict"]["blessed"] is False  # the model in production is always right
    assert card["numbers"]["calibration"]["temperature"] == 1.25
    assert card["facts"]["command"] == "graftline run pets"
    assert "graftline run pets" in Path(made.uri, CARDS[0]).read_text()


def test_mistakes_are_shown_with_their_images_and_what_the_model_took_them_for(inputs, properties):
    report = gather.report(inputs, properties)
    mistakes = gallery(report, "mistakes")
    assert (mistakes.total, [image.image_id for image in mistakes.images]) == (2, ["7", "8"])
    for image in mistakes.images:
        assert (image.split, image.label, image.predicted) == (TEST, "dog", "cat")
        assert image.confidence == pytest.approx(0.9)
        assert image.image == oracle.image(int(image.image_id), 1)


def test_contradictions_come_before_likely_label_errors(inputs, properties):
    images = gallery(gather.report(inputs, properties), "label_errors").images
    assert [image.image_id for image in images] == ["train-3", "train-4", f"train-{WRONG}"]
    assert images[0].note == "same image as train-4 (labeled cat)"
    assert (images[2].label, images[2].predicted, images[2].split) == ("dog", "cat", TRAIN)
    assert images[2].image == oracle.image(WRONG, 1)


def test_a_contradiction_that_is_also_suspected_is_shown_once(inputs, properties):
    path = Path(inputs["duplicates"].uri, duplicates.REPORT_FILE)
    found = json.loads(path.read_text()) | {"contradictions": [{f"train-{WRONG}": "dog", "train-4": "cat"}]}
    path.write_text(json.dumps(found))
    shown = gallery(gather.report(inputs, properties), "label_errors")
    assert ([image.image_id for image in shown.images], shown.total) == ([f"train-{WRONG}", "train-4"], 2)


def test_where_the_features_are_gone_the_gallery_says_so(inputs, properties, features_of):
    shutil.rmtree(features_of[TEST][0])
    found = gallery(gather.report(inputs, properties), "label_errors")
    assert f"the cached features are gone from {features_of[TEST][0]}" in found.why
    assert [(image.image_id, image.predicted) for image in found.images] == [("train-3", ""), ("train-4", "")]


def test_near_duplicates_are_pairs(inputs, properties):
    found = gallery(gather.report(inputs, properties), "near_duplicates")
    assert [(image.split, image.image_id) for image in found.images] == [(TEST, "2"), (TRAIN, "train-2")]
    assert [image.note for image in found.images] == ["looks like train-2 in train", "looks like 2 in test"]
    assert found.total == 1


def test_the_data_and_its_slices_are_told(inputs, properties):
    report = gather.report(inputs, properties)
    assert report.data.left_out == {"empty file": 1}
    assert len(report.data.widths) == len(report.data.size_classes) == 36
    assert {(part.group, part.examples) for part in report.numbers.slices if part.group == "image size"} == {
        ("image size", 3),
        ("image size", 4),
    }
    darkest, _, brightest = [part for part in report.numbers.slices if part.group == "brightness"]
    assert (darkest.accuracy, brightest.accuracy) == (1, pytest.approx(1 / 3))  # brightness grows with the number
    assert (report.data.drift, report.data.drift_against) == (["width"], None)
    assert report.data.faults == ["a class lost images"]
    assert report.data.accepted == "accepted by me on 2026-11-27T12:00:00+00:00: a new camera"


def test_facts_are_enough_to_do_it_again(inputs, properties):
    facts = gather.report(inputs, properties).facts
    assert (facts.command, facts.data_fingerprint, facts.parameters) == ("graftline run pets", "f00", 1234)
    assert facts.settings == SETTINGS
    assert set(facts.versions) == {"python", "tensorflow", "keras", "tfx", "openvino"}
    assert [step.name for step in facts.steps] == ["Trainer"]
    assert facts.serving == MEASURED


def test_what_the_candidate_was_held_against_is_told(inputs, properties, judged, tmp_path):
    assert gather.report(inputs, properties).verdict.in_production is None
    push = versions.publish(judged / "candidate" / "Format-Serving", tmp_path / "serving")
    inputs["blessing"].set_string_custom_property(SERVED, push.digest)
    assert gather.report(inputs, properties).verdict.in_production == str(tmp_path / "serving" / str(push.version))


def test_what_cannot_be_served_says_why_without_figures(inputs, properties):
    infra = artifact(standard_artifacts.InfraBlessing, Path(inputs["infra_blessing"].uri), blessed=0)
    infra.set_string_custom_property(REASONS, "a fresh process cannot serve it: ImportError")
    verdict = gather.report(inputs | {"infra_blessing": infra}, properties).verdict
    assert not verdict.servable
    assert verdict.reasons[-1] == "a fresh process cannot serve it: ImportError"
    assert not [rule for rule in verdict.rules if "time" in rule.name]
