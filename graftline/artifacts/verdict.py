"""A verdict on a candidate: each rule that it was measured by, with the value and the bound.

The Evaluator and ServingCheck decide by these rules; summary, report, card and `graftline compare` read them.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

VERDICT_FILE = "verdict.json"  # in the Evaluator's output folder
POINTS = "points"  # the unit of a difference of two fractions


@dataclass(frozen=True)
class Rule:
    """One demand that a candidate must meet.

    Attributes:
      name: what is measured, such as "test accuracy".
      value: the measured value; a fraction, or in `unit`.
      bound: the demanded value, in the same unit.
      at_least: whether it is a lower bound.
      unit: such as "GB"; empty for a fraction, `POINTS` for a difference of two.
    """

    name: str
    value: float
    bound: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound is reached, without tolerance; NaN reaches no bound."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def margin(self) -> float:
        """How far the value is on the good side of the bound; negative if the bound is missed."""
        return self.value - self.bound if self.at_least else self.bound - self.value

    @property
    def measured(self) -> str:
        """The value as text."""
        return figure(self.value, self.unit)

    @property
    def demanded(self) -> str:
        """The bound as text."""
        return f"{'at least' if self.at_least else 'at most'} {figure(self.bound, self.unit)}"

    @property
    def spare(self) -> str:
        """The margin as text."""
        unit = self.unit or POINTS  # a margin is a difference of two fractions
        margin = figure(self.margin, unit)
        return margin if margin.startswith("-") else f"+{margin}"

    @property
    def reason(self) -> str:
        """Why a candidate that misses the bound is refused."""
        return f"{self.name} is {self.measured}, but must be {self.demanded}"


@dataclass(frozen=True)
class Verdict:
    """The result of the gate; a candidate is blessed if it can be judged and meets every rule.

    Attributes:
      rules: what is demanded, and what was measured.
      missing: what prevents a judgement, one sentence each.
      notes: what to know about the comparison, one sentence each.
    """

    rules: list[Rule]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def blessed(self) -> bool:
        """Whether the candidate can be judged and meets every rule."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """A sentence for each reason against the candidate."""
        return [*self.missing, *(rule.reason for rule in self.rules if not rule.met)]

    @property
    def outcome(self) -> str:
        """The verdict in one line."""
        if self.blessed:
            return "Blessed."
        return f"{'Cannot be judged' if self.missing else 'Not blessed'}: {'; '.join(self.reasons)}."


def figure(value: float, unit: str = "") -> str:
    """Returns a number as text: fractions in percent, differences of two in points."""
    if unit in ("", POINTS):
        return f"{100 * value + 0.0:.2f} {unit or '%'}"  # + 0.0 removes the sign of a negative zero
    return f"{value:.4g} {unit}"


def dumps(rules: list[Rule]) -> str:
    """Returns rules as JSON, for the property of an artifact."""
    return json.dumps([asdict(rule) for rule in rules])


def loads(text: str) -> list[Rule]:
    """Returns the rules that `dumps` wrote; none for an empty text."""
    return [Rule(**rule) for rule in json.loads(text or "[]")]


def write(evaluation_uri: str, verdict: Verdict) -> None:
    """Writes a verdict to the output folder of the Evaluator."""
    Path(evaluation_uri, VERDICT_FILE).write_text(json.dumps(asdict(verdict)))


def read(evaluation_uri: str) -> Verdict:
    """Returns the verdict in an output folder of the Evaluator."""
    kept = json.loads(Path(evaluation_uri, VERDICT_FILE).read_text())
    return Verdict([Rule(**rule) for rule in kept["rules"]], kept["missing"], kept["notes"])
