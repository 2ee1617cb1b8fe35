"""The model card: the same facts as Markdown and as JSON."""

import json
from dataclasses import replace

import pytest

from components.report import card
from components.report.content import Calibration, Card, Counts, CrossValidated, Facts, Phase, Scores, Step, Verdict
from graftline.artifacts.forms import ClassScore, Export
from graftline.artifacts.metrics import ACCURACY, EXAMPLES, LOG_LOSS
from graftline.artifacts.verdict import Rule

CALIBRATION = Calibration(
    [0.9], [0.8], [16], temperature=1.5, ece=0.02, ece_without=0.1, log_loss=0.4, log_loss_without=0.5
)


@pytest.fixture
def told() -> Card:
    settings = {"model": {"backbone": "MobileNetV2", "image_size": 160}, "gate": {"min_accuracy": 0.75}}
    return Card(
        verdict=Verdict(
            blessed=True,
            servable=True,
            outcome="Blessed.",
            reasons=[],
            notes=["Nothing is new."],
            rules=[Rule("test accuracy", 0.8125, 0.75, at_least=True)],
            accuracy=0.8125,
            accuracy_interval=(0.57, 0.93),
            cross_validated=CrossValidated(160, 0.85, (0.79, 0.9)),
            baseline_accuracy=0.75,
            difference=0.0625,
            difference_interval=(-0.1, 0.2),
            push_to="served/pets",
            in_production=None,
        ),
        phases=[
            Phase(1, [0.5], [0.6], [1.0], [0.9], "epoch 1 of phase 1", validation_accuracy=0.6, test_accuracy=0.55)
        ],
        numbers=Scores(
            classes=["cat", "*dog*|x"],
            confusion=[[8, 0], [3, 5]],
            scores=[ClassScore("cat", 8, 0.72, 1.0, 0.84), ClassScore("*dog*|x", 8, 1.0, 0.625, 0.77)],
            calibration=CALIBRATION,
            measured={EXAMPLES.key: 16, ACCURACY.key: 0.8125, LOG_LOSS.key: 0.4},
            macro_accuracy=0.8125,
            examples=16,
        ),
        data=Counts(
            counts={"train": {"cat": 70, "*dog*|x": 60}, "test": {"cat": 8, "*dog*|x": 8}},
            left_out={"empty file": 2},
            copies=1,
            contradictions=0,
            leaked=3,
            unmeasured=2,
            held_out=16,
            faults=["a class lost images"],
            accepted="accepted by me: a new camera",
        ),
        facts=Facts(
            name="pets",
            dataset="folder:/photos/pets",
            when="2026-11-24T12:00:00+00:00",
            command="GRAFTLINE_TRAINING__SEED=7 graftline run pets",
            revision="0123456789ab",
            settings=settings,
            versions={"python": "3.11.2", "keras": "3.12.0"},
            weights_source="imagenet",
            weights_sha256="0" * 64,
            data_fingerprint="f" * 64,
            steps=[Step("Trainer", 43.2, 1_700_000_000, cached=False, inputs=["Transform"])],
            serving={"load_s": 1.4},
            parameters=2_259_265,
            known={"images": 130, "least": 0.61234},
        ),
        exports=[],
    )


def test_json_holds_every_number_unrounded(told):
    found = json.loads(card.as_json(told))
    assert found["verdict"]["accuracy"] == 0.8125
    assert found["verdict"]["rules"][0]["margin"] == 0.0625
    assert found["numbers"]["confusion"] == [[8, 0], [3, 5]]
    assert found["numbers"]["scores"][1]["recall"] == 0.625
    assert found["facts"]["settings"] == told.facts.settings
    assert found["data"]["counts"]["train"]["cat"] == 70


def test_markdown_tells_verdict_scores_and_how_to_make_it_again(told):
    text = card.as_markdown(told)
    assert "**Blessed.**" in text
    assert "**81.25 %**, 95 % interval 57.00 to 93.00 %" in text
    assert "heads on the frozen backbone are right about **85.00 %** of all 160 images" in text
    assert "nearest of 130 training images is below 0.612," in text
    assert "is 75.00 % on the same images; the 95 % interval of the difference is -10.00 to 20.00 %" in text
    assert "| cat | 8 | 72.00 % | 100.00 % | 84.00 % |" in text
    assert "Nothing is new." in text
    assert "| test accuracy | yes | 81.25 % | at least 75.00 % | +6.25 points |" in text
    assert "GRAFTLINE_TRAINING__SEED=7 graftline run pets\n" in text
    assert "- Left out: 2, empty file." in text
    assert "16 images that no choice was based on (without 2 more that look like a training image): **" in text
    assert "2,259,265 parameters" in text
    assert (
        "- Problems that would have stopped the run (a class lost images) were accepted by me: a new camera\n" in text
    )
    assert "| phase 1 | epoch 1 of phase 1 | 60.00 % | 55.00 % |" in text


def test_names_do_not_break_the_markdown(told):
    text = card.as_markdown(told)
    assert "*dog*|x" not in text.partition("```")[0]
    assert r"\*dog\*\|x" in text


def test_tables_have_as_many_cells_in_every_row(told):
    export = Export("tflite_int8", kept=False, reason="lost 3 %", size=3_000_000, accuracy=0.78, latency_ms=4.2)
    tables = card.as_markdown(replace(told, exports=[export])).replace(r"\|", "").split("\n\n")
    found = [table.strip().splitlines() for table in tables if table.strip().startswith("|")]
    assert len(found) == 7  # rules, calibration, phases, classes, exports, data, steps
    for rows in found:
        assert len({row.count("|") for row in rows}) == 1, rows


def test_markdown_tells_the_temperature_and_what_it_gains(told):
    text = card.as_markdown(told)
    assert "divides its logits by a temperature of 1.500, fitted on the validation split" in text
    assert "| expected calibration error | 0.0200 | 0.1000 |" in text
    assert "| log loss | 0.4000 | 0.5000 |" in text
    assert json.loads(card.as_json(told))["numbers"]["calibration"]["temperature"] == 1.5


def test_a_model_without_a_temperature_says_so(told):
    without = replace(CALIBRATION, temperature=None, ece=0.1, log_loss=0.5)
    text = card.as_markdown(replace(told, numbers=replace(told.numbers, calibration=without)))
    assert "no temperature was fitted. The expected calibration error is 0.1000." in text
    assert "divides its logits" not in text


def test_a_model_that_was_refused_says_why(told):
    outcome = "Not blessed: test accuracy is 70.00 %, but must be at least 75.00 %."
    text = card.as_markdown(replace(told, verdict=replace(told.verdict, blessed=False, outcome=outcome)))
    assert outcome in text
    assert "**Blessed.**" not in text
