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
    """Copies and look-alikes among the images.

    Attributes:
      images: number of images.
      copies: how many are an exact copy of another.
      copied: ids of images that are copies of each other, one list per group, at most LISTED.
      contradictions: label names by id, for images whose bytes appear under several labels.
      held_out: number of validation and test images.
      leaked: how many of them look like an image of another split.
      leaked_ids: ids of test images that look like a training image; they do not count when a candidate is measured.
      alike: pairs of images that look alike and are in different splits: id by split, at most LISTED.
      series: images that look alike or are copies, one list per series: the split of each and its number there.
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
