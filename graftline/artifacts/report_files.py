"""The files of a report; apart from its artifact, for that brings TFX, which takes seconds."""

from pathlib import Path

PAGE = "report.html"
CARDS = "model_card.md", "model_card.json"  # these go with the model that is pushed


def cards(uri: str) -> list[Path]:
    """Returns the files of the model's card."""
    return [Path(uri, name) for name in CARDS]
