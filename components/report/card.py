"""The model card: what is measured of a model and how it came to be, as Markdown and JSON.

Its sections are those of M. Mitchell et al., Model Cards for Model Reporting, 2019.
"""

import json
from dataclasses import asdict
from typing import Any

import jinja2

from components.report.content import Report
from graftline.artifacts.verdict import figure

TEMPLATE = "model_card.md.j2"


def values(report: Report) -> dict[str, Any]:
    """Returns the facts of the card: those of the report but for images and the points of curves.

    Args:
      report: of the run that made the model.
    """
    card = {key: asdict(getattr(report, key)) for key in ("verdict", "numbers", "facts")}
    for rule, values_of_rule in zip(report.verdict.rules, card["verdict"]["rules"], strict=True):
        values_of_rule |= {name: getattr(rule, name) for name in ("met", "margin", "measured", "demanded", "spare")}
    for curves in ("roc", "precision_recall"):
        areas = {curve["name"]: curve["area"] for curve in card["numbers"].pop(curves)}
        card["numbers"][f"{curves}_area"] = areas
    data = report.data
    kept = (
        "counts",
        "left_out",
        "copies",
        "contradictions",
        "leaked",
        "unmeasured",
        "held_out",
        "drift",
        "drift_against",
        "faults",
        "accepted",
    )
    return card | {
        "phases": [asdict(phase) for phase in report.phases],
        "data": {name: getattr(data, name) for name in kept},
        "exports": [asdict(export) for export in report.exports],
    }


def as_json(report: Report) -> str:
    """Returns the card for programs."""
    return json.dumps(values(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(report: Report) -> str:
    """Returns the card for people."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.report"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # it is Markdown
    )
    environment.filters |= {"percent": figure, "interval": _interval, "cell": _cell}
    return environment.get_template(TEMPLATE).render(values(report), overall=report.numbers.overall)


def _interval(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f} %"


def _cell(text: object) -> str:
    """Keeps what is in a cell of a table from ending it, or from being read as markup."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]<>#|" else character for character in str(text))
