"""The gate's rules on made-up answers: they compare counts of images, so that rounding cannot decide."""

import numpy as np
import pytest

from components.evaluator.rules import decide
from graftline.artifacts.evaluation import Opponent, Predictions
from graftline.artifacts.held_out import HeldOut
from graftline.serving.versions import BEST, PRODUCTION
from graftline.settings.gate import Gate


def answers(labels: np.ndarray, right: int, classes: int = 2) -> np.ndarray:
    """Returns answers, the first `right` of which are right; probabilities have 32 bits, like a model's."""
    return np.eye(classes, dtype=np.float32)[np.where(np.arange(len(labels)) < right, labels, (labels + 1) % classes)]


def evidence(images: int, right: int, **opponents: int) -> Predictions:
    """Returns the answers of models with the given numbers of right ones, to images of two classes in turn."""
    labels, classes = np.arange(images) % 2, ["cat", "dog"]
    others = {name: Opponent(classes, answers(labels, count)) for name, count in opponents.items()}
    return Predictions(classes, [str(number) for number in range(images)], labels, answers(labels, right), others)


def constant(*counts: int) -> Predictions:
    """Returns the answers of a model that always says the first class; `counts` are images per class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    said = np.eye(len(counts), dtype=np.float32)[np.zeros(len(labels), int)]
    classes = ["common", "rare", "rarer"][: len(counts)]
    return Predictions(classes, [str(number) for number in range(len(labels))], labels, said)


@pytest.mark.parametrize(
    ("images", "right", "demanded", "blessed"),
    [
        (20, 19, 0.95, True),
        (20, 18, 0.95, False),
        (30, 20, 2 / 3, False),  # not certainly better than always saying cat, which is right for 15 of 30
        (300, 200, 2 / 3, True),
        (10_000, 9_499, 0.95, False),
        (10_000, 9_500, 0.95, True),
        (10, 10, 1.0, True),
    ],
)
def test_the_bound_itself_is_enough_and_one_image_less_is_not(images, right, demanded, blessed):
    assert decide(evidence(images, right), Gate(min_accuracy=demanded)).blessed is blessed


@pytest.mark.parametrize(
    ("right", "production", "allowed", "blessed"),
    [(48, 49, 0.02, True), (47, 49, 0.02, False), (49, 49, 0.0, True), (48, 49, 0.0, False), (50, 49, 0.0, True)],
)
def test_as_many_images_fewer_as_are_allowed_are_not_too_many(right, production, allowed, blessed):
    gate = Gate(min_accuracy=0.5, max_accuracy_drop=allowed)
    assert decide(evidence(50, right, production=production), gate).blessed is blessed


@pytest.mark.parametrize(("common", "rare"), [(23, 1), (200, 20), (12, 12)])
def test_one_answer_to_everything_is_never_blessed(common, rare):
    verdict = decide(constant(common, rare), Gate(min_accuracy=0.5, min_test_examples=1))
    assert not verdict.blessed
    assert "confidence that it beats always saying 'common' is 0.00 %, but must be at least 95.00 %" in verdict.reasons


def test_one_rare_image_proves_nothing_and_five_do():
    labels = np.array([0] * 20 + [1] * 5)
    few = Predictions(["common", "rare"], list("x" * 21), labels[:21], answers(labels[:21], 21))
    many = Predictions(["common", "rare"], list("x" * 25), labels, answers(labels, 25))
    gate = Gate(min_accuracy=0.5, min_test_examples=1)
    assert decide(few, gate).reasons == [
        "confidence that it beats always saying 'common' is 50.00 %, but must be at least 95.00 %"
    ]
    assert decide(many, gate).blessed


def test_a_drop_that_slides_on_is_stopped_by_the_best_that_ever_was():
    gate = Gate(min_accuracy=0.5, max_accuracy_drop=0.02)
    assert decide(evidence(1000, 943, production=946), gate).reasons == []
    verdict = decide(evidence(1000, 943, production=946, best=960), gate)
    assert [rule.name for rule in verdict.rules if not rule.met] == [
        "test accuracy above the best model that ever was in production, at most (95 %)"
    ]


def test_a_small_drop_that_is_no_chance_is_too_much():
    """Nine of 1,000 images fewer are within the bound of 1 %, but no other image was gained, so this is not noise."""
    verdict = decide(evidence(1000, 941, production=950), Gate(min_accuracy=0.5))
    assert verdict.reasons == [
        "test accuracy above the model in production, at most (95 %) is -0.28 points, but must be at least 0.00 points"
    ]


def test_the_class_that_is_recalled_worst_is_held_against_its_bound():
    labels = np.array([0] * 50 + [1] * 10)
    said = Predictions(["cat", "dog"], list("x" * 60), labels, answers(labels, 57))
    gate = Gate(min_accuracy=0.5, min_class_recall=0.8)
    assert decide(said, gate).reasons == ["lowest recall of a class, 'dog' is 70.00 %, but must be at least 80.00 %"]
    assert decide(said, Gate(min_accuracy=0.5, min_class_recall=0.7)).blessed


def test_a_class_of_few_images_counts_as_much_as_the_others_in_macro_accuracy():
    labels = np.array([0] * 180 + [1] * 20)
    said = Predictions(["cat", "dog"], list("x" * 200), labels, answers(labels, 188))
    gate = Gate(min_accuracy=0.9, min_macro_accuracy=0.75)
    assert decide(said, gate).reasons == ["macro accuracy is 70.00 %, but must be at least 75.00 %"]
    assert decide(said, Gate(min_accuracy=0.9, min_macro_accuracy=0.7)).blessed


def test_too_few_test_images_of_a_class_are_no_judgement():
    labels = np.array([0] * 40 + [1] * 3)
    said = Predictions(["cat", "dog", "emu"], list("x" * 43), labels, answers(labels, 43, classes=3))
    verdict = decide(said, Gate(min_accuracy=0.5))
    assert not verdict.blessed
    assert verdict.outcome.startswith("Cannot be judged: 'dog' has 3 test images, 2 fewer than gate.min_test_examples")
    assert "'emu' has 0 test images" in verdict.outcome


def test_no_test_images_at_all_are_no_judgement():
    nothing = Predictions(["cat", "dog"], [], np.empty(0, int), np.empty((0, 2), np.float32))
    verdict = decide(nothing, Gate(min_accuracy=0.5))
    assert (verdict.blessed, verdict.rules, len(verdict.missing)) == (False, [], 2)


def test_every_missed_rule_is_told():
    opponents = {PRODUCTION: 19, BEST: 20}
    verdict = decide(evidence(20, 12, **opponents), Gate(min_accuracy=0.8, max_accuracy_drop=0.1))
    assert [(rule.name, rule.met) for rule in verdict.rules] == [
        ("test accuracy", False),
        ("confidence that it beats always saying 'cat'", False),
        ("test accuracy above the model in production", False),
        ("test accuracy above the model in production, at most (95 %)", False),
        ("test accuracy above the best model that ever was in production, at most (95 %)", False),
    ]


def held_out(images: int, right: int, tested: int = 0) -> HeldOut:
    """Returns heads' answers to images of two classes in turn; the last `tested` images are in the test split."""
    labels = np.arange(images) % 2
    return HeldOut(labels, answers(labels, right), np.arange(images) >= images - tested, 0.01)


def test_a_test_split_that_is_too_small_is_helped_by_what_heads_answer_to_other_images():
    gate = Gate(min_accuracy=0.8)
    assert decide(evidence(6, 6), gate).missing == [
        f"{name!r} has 3 test images, 2 fewer than gate.min_test_examples: add photos of it" for name in ("cat", "dog")
    ]
    verdict = decide(evidence(6, 6), gate, held_out(60, 54, tested=6))
    assert (verdict.blessed, verdict.missing) == (True, [])
    found = {rule.name: rule.value for rule in verdict.rules}
    assert found["test accuracy"] == 1
    assert found["accuracy with cross-validation"] == 1, "the six wrong ones are in the test split"
    assert verdict.notes[0].startswith(
        "The 6 test images are too few to judge by, so 54 images of the other splits count too"
    )


def test_a_test_split_that_is_large_enough_decides_alone():
    alone = decide(evidence(40, 30), Gate(min_accuracy=0.8))
    assert decide(evidence(40, 30), Gate(min_accuracy=0.8), held_out(400, 400)) == alone
    assert not alone.blessed


@pytest.mark.parametrize(
    ("right", "heads", "reason"),
    [
        (2, 60, "test accuracy is 33.33 %"),  # the candidate itself is bad, heads on its frozen backbone are not
        (6, 40, "accuracy with cross-validation is 69.70 %"),
        (6, 30, "confidence that it beats always saying"),  # heads that guess, half of it right
    ],
)
def test_neither_a_lucky_test_split_nor_good_heads_are_enough(right, heads, reason):
    verdict = decide(evidence(6, right), Gate(min_accuracy=0.8), held_out(60, heads))
    assert not verdict.blessed
    assert reason in verdict.outcome


def test_a_class_that_hardly_has_images_anywhere_cannot_be_judged():
    labels = np.array([0] * 50 + [1] * 3)
    verdict = decide(
        evidence(2, 2), Gate(min_accuracy=0.5), HeldOut(labels, np.eye(2)[labels], np.zeros(53, bool), 0.01)
    )
    assert verdict.missing == ["'dog' has 4 test images, 1 fewer than gate.min_test_examples: add photos of it"]


def test_a_comparison_with_production_is_of_the_candidate_alone():
    verdict = decide(evidence(8, 6, production=8), Gate(min_accuracy=0.5), held_out(60, 60))
    [rule] = [rule for rule in verdict.rules if rule.name == "test accuracy above the model in production"]
    assert rule.value == -0.25
    assert not verdict.blessed
