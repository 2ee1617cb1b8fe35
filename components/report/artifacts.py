"""What ReportGen reads and leaves beside TFX's own artifacts, and the files in them."""

from pathlib import Path

from tfx.types.artifact import Artifact

PAGE = "report.html"
CARDS = "model_card.md", "model_card.json"  # these go with the model that is pushed
EXPORTS_FILE = "exports.json"


class RunReport(Artifact):
    """The report of a run: a page, and the model's card as Markdown and JSON."""

    TYPE_NAME = "RunReport"


class Exports(Artifact):
    """Smaller forms of a model, and `exports.json`, what was measured of each."""

    TYPE_NAME = "Exports"


def cards(uri: str) -> list[Path]:
    """Returns the files of the model's card."""
    return [Path(uri, name) for name in CARDS]
