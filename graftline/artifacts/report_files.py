"""The files of a report; separate from its artifact, because that imports TFX, which takes seconds."""

from pathlib import Path

PAGE = "report.html"
CARDS = "model_card.md", "model_card.json"  # pushed together with the model


def cards(uri: str) -> list[Path]:
    """Returns the files of the model card."""
    return [Path(uri, name) for name in CARDS]
