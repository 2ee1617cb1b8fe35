"""The model card: what was measured on a model and how it was made, as Markdown and JSON.

Its sections are those of M. Mitchell et al., Model Cards for Model Reporting, 2019.
"""

import json
from dataclasses import asdict
from typing import Any

import jinja2

from components.report.content import Card
from graftline.artifacts.verdict import figure

TEMPLATE = "model_card.md.j2"


def values(card: Card) -> dict[str, Any]:
    """Returns what the card says, for programs.

    Args:
      card: its facts.
    """
    told = asdict(card)
    for rule, values_of_rule in zip(card.verdict.rules, told["verdict"]["rules"], strict=True):
        values_of_rule |= {name: getattr(rule, name) for name in ("met", "margin", "measured", "demanded", "spare")}
    return told


def as_json(card: Card) -> str:
    """Returns the card for programs."""
    return json.dumps(values(card), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(card: Card) -> str:
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
    return environment.get_template(TEMPLATE).render(values(card), overall=card.numbers.overall)


def _interval(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f} %"


def _cell(text: object) -> str:
    """Escapes text so that it neither ends the cell of a table nor is read as markup."""
    return "".join(f"\\{character}" if character in "\\`*_{}[]<>#|" else character for character in str(text))
