"""What Duplicates found: the artifact, its file, and how it is read."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from tfx.types.artifact import Artifact

REPORT_FILE = "duplicates.json"


class DuplicatesReport(Artifact):
    """What Duplicates found, a `Report` as JSON."""

    TYPE_NAME = "DuplicatesReport"


@dataclass
class Report:
    """Copies among the images.

    Attributes:
      images: how many there are.
      copies: how many are an exact copy of another.
      copied: ids of exact copies, a list each, at most LISTED.
      contradictions: label names by id, for images whose very bytes have several labels.
      held_out: images of validation and test.
      leaked: how many of them look like one of another split.
      leaked_ids: ids of the test images that look like one of training; they do not count when a candidate is measured.
      alike: ids of two images that look alike and are in two splits, with those, at most LISTED.
      series: images that look alike, or are copies, in a list each: of each its split and its number there.
    """

    images: int = 0
    copies: int = 0
    copied: list[list[str]] = field(default_factory=list)
    contradictions: list[dict[str, str]] = field(default_factory=list)
    held_out: int = 0
    leaked: int = 0
    leaked_ids: list[str] = field(default_factory=list)
    alike: list[dict[str, str]] = field(default_factory=list)
    series: list[list[tuple[str, int]]] = field(default_factory=list)


def read(uri: str) -> Report:
    """Returns the report that an artifact holds."""
    return Report(**json.loads(Path(uri, REPORT_FILE).read_text()))
