"""The gate: what a candidate must reach, and whether it does.

The test split decides. If it has too few images of a class, images of the other splits count too, by the answers of heads
that did not learn from them; the candidate itself must still reach the demanded accuracy on the test split.

The rules compare counts of images, not rounded shares.
"""

from collections.abc import Iterator

import numpy as np

from graftline.artifacts import intervals
from graftline.artifacts.evaluation import Predictions, class_scores, compare, macro_accuracy
from graftline.artifacts.held_out import HeldOut
from graftline.artifacts.metrics import ACCURACY
from graftline.artifacts.verdict import POINTS, Rule, Verdict
from graftline.serving.versions import BEST, PRODUCTION
from graftline.settings.gate import Gate

SURE = 0.95  # required confidence that a candidate is better than no model at all
TITLES = {PRODUCTION: "the model in production", BEST: "the best model that ever was in production"}


def decide(answers: Predictions, gate: Gate, cross_validated: HeldOut | None = None) -> Verdict:
    """Judges a candidate by every rule.

    Args:
      answers: of the candidate, the model in production and the best one that ever was, to the same test images.
      gate: what is demanded.
      cross_validated: answers of heads to images that they did not learn from; None if the dataset is too large for that.
    """
    evidence, notes = answers, []
    if cross_validated and any(_missing(answers, gate.min_test_examples)):
        evidence = _joined(answers, cross_validated)
        notes.append(_told(len(answers.labels), len(evidence.labels) - len(answers.labels)))
    missing = list(_missing(evidence, gate.min_test_examples))
    if not len(answers.labels):
        return Verdict([], missing)
    rules = [_accuracy(answers, ACCURACY.title, gate.min_accuracy)]
    if evidence is not answers:
        rules.append(_accuracy(evidence, "accuracy with cross-validation", gate.min_accuracy))
    rules += [*_recalls(evidence, gate), _better_than_no_model(evidence)]
    if not answers.opponents:
        notes.append("Nothing is in production yet, so the candidate was compared with no other.")
    for name in answers.opponents:
        found, note = _compared(answers, name, gate.max_accuracy_drop)
        rules, notes = rules + found, notes + note
    return Verdict(rules, missing, notes)


def _joined(answers: Predictions, cross_validated: HeldOut) -> Predictions:
    """Returns a candidate's answers to the test split, extended by the answers of heads to images of the other splits.

    Args:
      answers: the candidate's.
      cross_validated: those of heads on the same frozen backbone.
    """
    more = ~cross_validated.tested
    return Predictions(
        answers.classes,
        answers.image_ids + [""] * int(more.sum()),
        np.concatenate([answers.labels, cross_validated.labels[more]]),
        np.concatenate([answers.candidate, cross_validated.probabilities[more]]),
    )


def _told(tested: int, more: int) -> str:
    return (
        f"The {tested:,} test images are too few to judge by, so {more:,} images of the other splits count too, by cross-"
        "validation: each was classified by a new head on the frozen backbone that had not seen it or its look-alikes."
    )


def _accuracy(evidence: Predictions, title: str, demanded: float) -> Rule:
    return Rule(title, int(evidence.right.sum()) / len(evidence.labels), demanded, at_least=True)


def _missing(evidence: Predictions, demanded: int) -> Iterator[str]:
    """Yields a sentence for each class with too few images to judge."""
    counts = np.bincount(evidence.labels, minlength=len(evidence.classes))
    for name, count in zip(evidence.classes, counts, strict=True):
        if count < demanded:
            yield (
                f"{name!r} has {count} test images, {demanded - count} fewer than gate.min_test_examples: add photos of it"
            )


def _recalls(evidence: Predictions, gate: Gate) -> Iterator[Rule]:
    """Yields the rules for the recall of classes, if the gate has them."""
    if gate.min_macro_accuracy:
        yield Rule("macro accuracy", macro_accuracy(evidence), gate.min_macro_accuracy, at_least=True)
    if gate.min_class_recall:
        worst = min((score for score in class_scores(evidence) if score.examples), key=lambda score: score.recall)
        yield Rule(f"lowest recall of a class, {worst.name!r}", worst.recall, gate.min_class_recall, at_least=True)


def _better_than_no_model(evidence: Predictions) -> Rule:
    """Returns the rule that a constant answer never meets."""
    frequent = int(np.bincount(evidence.labels).argmax())
    sure = intervals.confidence(evidence.right, evidence.labels == frequent)
    return Rule(f"confidence that it beats always saying {evidence.classes[frequent]!r}", sure, SURE, at_least=True)


def _compared(evidence: Predictions, name: str, drop: float) -> tuple[list[Rule], list[str]]:
    """Returns the rules for a comparison with another model, and notes about it."""
    compared, title = compare(evidence, name), TITLES[name]
    if not len(compared.right):
        return [Rule(f"classes that {title} knows too", 0, 1, at_least=True, unit="classes")], []
    _, highest = intervals.paired(compared.right, compared.other)
    possible = Rule(f"{ACCURACY.title} above {title}, at most (95 %)", highest, 0, at_least=True, unit=POINTS)
    point = Rule(f"{ACCURACY.title} above {title}", compared.difference, -drop, at_least=True, unit=POINTS)
    return ([point, possible] if name == PRODUCTION else [possible]), list(_unlike(evidence, name, compared.classes))


def _unlike(evidence: Predictions, name: str, shared: list[str]) -> Iterator[str]:
    """Yields a sentence if two models do not know the same classes."""
    new = [known for known in evidence.classes if known not in shared]
    gone = [known for known in evidence.opponents[name].classes if known not in shared]
    if new or gone:
        told = [f"{len(names)} {kind} ({', '.join(names)})" for kind, names in (("new", new), ("gone", gone)) if names]
        yield f"Compared with {TITLES[name]} on the {len(shared)} classes that both know; others: {' and '.join(told)}."
