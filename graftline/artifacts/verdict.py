"""A verdict on a candidate: each rule that it was held against, with what it reached and what was demanded.

The Evaluator and ServingCheck decide by these; summary, report, card and `graftline compare` read what decided.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

VERDICT_FILE = "verdict.json"  # in the Evaluator's output folder
POINTS = "points"  # the unit of a difference of two fractions


@dataclass(frozen=True)
class Rule:
    """One thing that a candidate must reach.

    Attributes:
      name: what is measured, such as "test accuracy".
      value: what it is; a fraction, or in `unit`.
      bound: what is demanded, of the same unit.
      at_least: whether the bound is a lower one.
      unit: such as "GB"; empty of a fraction, `POINTS` of a difference of two.
    """

    name: str
    value: float
    bound: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound is reached, exactly; NaN reaches none."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def margin(self) -> float:
        """How far the value is on the good side of the bound; negative where it is missed."""
        return self.value - self.bound if self.at_least else self.bound - self.value

    @property
    def measured(self) -> str:
        """The value for people."""
        return figure(self.value, self.unit)

    @property
    def demanded(self) -> str:
        """The bound for people."""
        return f"{'at least' if self.at_least else 'at most'} {figure(self.bound, self.unit)}"

    @property
    def spare(self) -> str:
        """The margin for people."""
        unit = self.unit or POINTS  # of two fractions
        margin = figure(self.margin, unit)
        return margin if margin.startswith("-") else f"+{margin}"

    @property
    def reason(self) -> str:
        """What speaks against a candidate that does not reach it."""
        return f"{self.name} is {self.measured}, {self.demanded} is demanded"


@dataclass(frozen=True)
class Verdict:
    """What a candidate was held against; it is blessed where it reached all of it, and so much evidence is there.

    Attributes:
      rules: what is demanded, and what was reached.
      missing: what stands in the way of a judgement at all, a sentence each.
      notes: what to know about the comparison, a sentence each.
    """

    rules: list[Rule]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def blessed(self) -> bool:
        """Whether it can be judged, and every rule is met."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """A sentence for each thing that speaks against it."""
        return [*self.missing, *(rule.reason for rule in self.rules if not rule.met)]

    @property
    def outcome(self) -> str:
        """The verdict for people, in a line."""
        if self.blessed:
            return "Blessed."
        return f"{'Cannot be judged' if self.missing else 'Not blessed'}: {'; '.join(self.reasons)}."


def figure(value: float, unit: str = "") -> str:
    """Returns a number for people: fractions in per cent, differences of two in points."""
    if unit in ("", POINTS):
        return f"{100 * value + 0.0:.2f} {unit or '%'}"  # 0.0 takes the sign from a zero
    return f"{value:.4g} {unit}"


def dumps(rules: list[Rule]) -> str:
    """Returns rules as JSON, for the property of an artifact."""
    return json.dumps([asdict(rule) for rule in rules])


def loads(text: str) -> list[Rule]:
    """Returns the rules that `dumps` wrote; none of an empty text."""
    return [Rule(**rule) for rule in json.loads(text or "[]")]


def write(evaluation_uri: str, verdict: Verdict) -> None:
    """Keeps a verdict in the output folder of the Evaluator."""
    Path(evaluation_uri, VERDICT_FILE).write_text(json.dumps(asdict(verdict)))


def read(evaluation_uri: str) -> Verdict:
    """Returns the verdict in an output folder of the Evaluator."""
    kept = json.loads(Path(evaluation_uri, VERDICT_FILE).read_text())
    return Verdict([Rule(**rule) for rule in kept["rules"]], kept["missing"], kept["notes"])
