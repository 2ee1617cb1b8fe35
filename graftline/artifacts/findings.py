"""Images that a person may want to look at, and what could be done about each: a table next to the report."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

FINDINGS_FILE = "findings.csv"
ACTION = "action"  # the column that a person fills in


class Finding(NamedTuple):
    """An image that deserves a look.

    Attributes:
      file: its id; in a folder of photos, its path below that folder.
      label: its class; empty for a file that is not read.
      reason: why it deserves a look.
      suggestion: what to do, in the words of `graftline clean-up`; empty if nothing is suggested.
    """

    file: str
    label: str
    reason: str
    suggestion: str = ""


def write(path: Path, found: Iterable[Finding]) -> None:
    """Writes the file next to a report."""
    _write(path, [Finding._fields, *found])


def write_table(path: Path, found: list[Finding], suggested: bool) -> int:
    """Writes a table for people, with an action for each image, and returns how many images it has.

    Args:
      path: the CSV file.
      found: the images that deserve a look.
      suggested: whether the action is the suggestion, or empty.
    """
    rows = [[*finding, finding.suggestion if suggested else ""] for finding in found]
    _write(path, [[*Finding._fields, ACTION], *rows])
    return len(rows)


def _write(path: Path, rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", newline="", errors="backslashreplace") as file:
        csv.writer(file).writerows(rows)


def read(path: Path) -> list[Finding]:
    """Returns what `write` wrote."""
    with path.open(newline="") as file:
        return [Finding(*(row[name] for name in Finding._fields)) for row in csv.DictReader(file)]
