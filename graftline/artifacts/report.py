"""The report of a run, and the model's card: the artifact and its files."""

from pathlib import Path

from tfx.types.artifact import Artifact

PAGE = "report.html"
CARDS = "model_card.md", "model_card.json"  # these go with the model that is pushed


class RunReport(Artifact):
    """The report of a run: a page, and the model's card as Markdown and JSON."""

    TYPE_NAME = "RunReport"


def cards(uri: str) -> list[Path]:
    """Returns the files of the model's card."""
    return [Path(uri, name) for name in CARDS]
