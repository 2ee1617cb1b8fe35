"""The gate: what a candidate must reach on the test split, and whether it does."""

from graftline.artifacts.evaluation import Predictions
from graftline.artifacts.metrics import ACCURACY
from graftline.artifacts.verdict import POINTS, Rule, Verdict
from graftline.settings.gate import Gate


def decide(evidence: Predictions, gate: Gate) -> Verdict:
    """Holds a candidate against every rule.

    Args:
      evidence: what candidate and baseline answered to the same test images; numbers of images are compared, not shares
        that were rounded before.
      gate: what is demanded.
    """
    images, right = len(evidence.labels), int(evidence.right.sum())
    rules = [Rule(ACCURACY.title, right / images, gate.min_accuracy, at_least=True)]
    if evidence.baseline_right is not None:
        gained = right - int(evidence.baseline_right.sum())
        name = f"{ACCURACY.title} above the baseline's"
        rules.append(Rule(name, gained / images, -gate.max_accuracy_drop, at_least=True, unit=POINTS))
    return Verdict(rules)
