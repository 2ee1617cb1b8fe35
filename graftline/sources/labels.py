"""A table with the class of each image, as labeling tools and competitions write it: a CSV file next to the images.

Its columns are a file and a class. The file is a path relative to the table or the folder, with or without a suffix, or only
a name, if no other image has that name.
"""

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from graftline.base import photos
from graftline.sources.holdings import File, Holdings

# Names of columns, the most specific first: an id may be a number next to a column of file names
FILES = (
    *("file", "filename", "file_name", "filepath", "file_path", "path", "image_path"),
    *("image", "image_name", "img", "image_id", "id"),
)
CLASSES = ("label", "class", "class_name", "category", "target", "label_name", "labels")
DELIMITERS = ",;\t|"
SAMPLE = 10_000  # characters from which the delimiter is inferred

MISSING, UNNAMED = "in the table, but not in the folder", "without a label in the table"
UNLISTED = "not in the table"

At = Callable[[str], Path | None]  # finds the file that a row names


class Row(NamedTuple):
    """A row of a table, with its line number."""

    line: int
    file: str
    label: str


def by_table(folder: Path, table: Path) -> Holdings:
    """Returns what a folder contains, with the classes from a table.

    Args:
      folder: the folder of the images, which may be at any depth.
      table: the CSV file.

    Raises:
      ValueError: if the table cannot be read, gives an image two classes, or has fewer than two classes.
    """
    found, rows = photos.walk(folder), _rows(table)
    at = _places(found, folder, table.parent)
    if rows and rows[0].line == 1 and not at(rows[0].file):
        rows = rows[1:]  # a header with unknown names
    _check_contradictions(table, rows, at)
    labelled = {path: row.label for row in rows if (path := at(row.file))}
    classes = sorted({label for path, label in labelled.items() if label and path not in found.others})
    if len(classes) < 2:
        told = f"{len(classes)} classes, and {len(labelled):,} of its {len(rows):,} rows name a file in {folder}"
        raise ValueError(f"{table} has {told}; give one that names the files of at least two classes")
    held = Holdings(folder, classes, skipped=+found.skipped)
    for path, label in labelled.items():
        problem = found.others.get(path, "" if label else UNNAMED)
        held.files.append(File(str(path.relative_to(folder)), 0 if problem else classes.index(label), "", problem))
    held.files += [File(file, 0, "", MISSING) for file in dict.fromkeys(row.file for row in rows) if not at(file)]
    held.skipped += Counter({UNLISTED: len(found.images) + len(found.others) - len(labelled)})
    return held


def _rows(table: Path) -> list[Row]:
    """Returns the rows of a table, without its header."""
    data = table.read_bytes()
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{table} is not a CSV file in UTF-8 ({error}); save it as one") from None
    if not lines:
        raise ValueError(f"{table} is empty; give a CSV file with the columns file and label")
    names = [_plain(cell) for cell in lines[0][1]]
    file, label = _columns(table, names)
    headed = not {*FILES, *CLASSES}.isdisjoint(names)
    return [Row(number, _cell(cells, file), _cell(cells, label)) for number, cells in lines[headed:]]


def _delimiter(text: str) -> str:
    try:
        return csv.Sniffer().sniff(text[:SAMPLE], DELIMITERS).delimiter
    except csv.Error:  # such as a single column
        return DELIMITERS[0]


def _plain(cell: str) -> str:
    return cell.lower().replace(" ", "_").replace("-", "_")


def _cell(cells: list[str], column: int) -> str:
    return cells[column] if column < len(cells) else ""


def _columns(table: Path, names: list[str]) -> tuple[int, int]:
    """Returns the columns of the file and of the class; if there are two columns, one known name or none is enough."""
    file = next((names.index(name) for name in FILES if name in names), None)
    label = next((names.index(name) for name in CLASSES if name in names), None)
    if len(names) == 2:
        file = file if file is not None else 1 - (1 if label is None else label)
        return file, 1 - file
    if file is None or label is None:
        raise ValueError(
            f"{table} has {len(names)} columns, and its first row does not say which of them are the file and its class; "
            "name them file and label"
        )
    return file, label


def _places(found: photos.Found, folder: Path, beside: Path) -> At:
    """Returns a function that finds the file a row names: by its exact path, then without a suffix, then only by name."""
    known: list[dict[str, Path | None]] = []
    for paths in (found.images, list(found.others)):
        exact = [(path, name) for path in paths for name in _texts(path, folder, beside)]
        known += [_unique(exact), _unique((path, _stem(name)) for path, name in exact)]
        known += [_unique((path, path.name) for path in paths), _unique((path, path.stem) for path in paths)]

    def at(file: str) -> Path | None:
        name = os.path.normpath(file.replace("\\", "/")) if file else ""
        return next((places[name] for places in known if name in places), None)

    return at


def _texts(path: Path, folder: Path, beside: Path) -> set[str]:
    return {os.path.relpath(path, beside), str(path.relative_to(folder)), str(path)}


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _unique(named: Iterable[tuple[Path, str]]) -> dict[str, Path | None]:
    """Returns files by name; None for a name that several files have."""
    places: dict[str, Path | None] = {}
    for path, name in named:
        places[name] = path if places.get(name, path) == path else None
    return places


def _check_contradictions(table: Path, rows: list[Row], at: At) -> None:
    by_file: dict[Path | str, list[Row]] = defaultdict(list)
    for row in rows:
        by_file[at(row.file) or row.file].append(row)
    torn = [same for same in by_file.values() if len({row.label for row in same}) > 1]
    if torn:
        first = torn[0][0]
        other = next(row for row in torn[0] if row.label != first.label)
        more = f", and does the same to {len(torn) - 1:,} more files" if torn[1:] else ""
        raise ValueError(
            f"{table} labels {first.file} {first.label!r} in line {first.line} and {other.label!r} in line {other.line}"
            f"{more}; keep one row for each file"
        )
