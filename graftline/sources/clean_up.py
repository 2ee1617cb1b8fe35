"""Corrects a folder of photos by a table: files move aside or to another class, and back again. Nothing is deleted.

Before any file moves, all moves are recorded in `.clean-up/` below the folder, in a new folder each time, which also holds
the files that move aside. Training ignores hidden folders.
"""

import csv
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import NamedTuple

from graftline.artifacts.findings import ACTION, Finding
from graftline.base.errors import UserError, did_you_mean
from graftline.sources.holdings import Holdings

ASIDE, JOURNAL, UNDONE = ".clean-up", "moves.csv", "moves_undone.csv"
FILE = Finding._fields[0]
KEEP, DROP, MOVE = "keep", "drop", "move to "
TOLD = 5  # mistakes listed in a message


class Move(NamedTuple):
    """A file that moves: two paths below the folder."""

    source: str
    target: str


def planned(held: Holdings, table: Path) -> list[Move]:
    """Returns what a table asks for.

    Args:
      held: what the folder contains.
      table: a CSV file with the columns `file` and `action`: empty or `keep`, `drop`, or `move to <class>`.

    Raises:
      UserError: if lines cannot be applied, with the first of them; then nothing has moved.
    """
    moves: list[Move] = []
    mistakes = []
    for number, row in _rows(table):
        try:
            moves += _move(held, row[FILE], row[ACTION].strip())
        except ValueError as error:
            mistakes.append(f"line {number}: {error}")
    if mistakes:
        more = f"; and {len(mistakes) - TOLD} more" if len(mistakes) > TOLD else ""
        raise UserError(f"{table} cannot be applied, and nothing has moved: {'; '.join(mistakes[:TOLD])}{more}.")
    return moves


def _rows(table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yields the lines that name a file, with their numbers."""
    try:
        with table.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file, restval="")
            for name in (FILE, ACTION):
                if name not in (reader.fieldnames or ()):
                    raise UserError(
                        f"{table} has no column {name!r}: give a table that `graftline clean-up export` wrote."
                    )
            for row in reader:
                if row[FILE]:
                    yield reader.line_num, row
    except (OSError, csv.Error) as error:
        raise UserError(f"{table} cannot be read ({error}): give the table that you edited.") from None


def _move(held: Holdings, file: str, action: str) -> Iterator[Move]:
    """Yields the move that a line asks for, if any; raises ValueError if it cannot be applied."""
    if action in ("", KEEP):
        return
    path = PurePath(file)
    if path.is_absolute() or ".." in path.parts or not (held.folder / path).is_file():
        raise ValueError(f"there is no file {file!r}; give a path below the folder")
    if action == DROP:
        yield Move(file, "")
    elif action.startswith(MOVE):
        target = _renamed(held, path, action.removeprefix(MOVE).strip())
        if target != path:
            yield Move(file, str(target))
    else:
        raise ValueError(f"{action!r} is not an action; write keep, drop or move to <class>")


def _renamed(held: Holdings, path: PurePath, name: str) -> PurePath:
    """Returns the path of a class's file in another class."""
    if name not in held.classes:
        raise ValueError(f"there is no class {name!r}: {did_you_mean(name, held.classes)}")
    at = next((at for at, part in enumerate(path.parts[:-1]) if part in held.classes), None)
    if at is None:
        raise ValueError(f"{str(path)!r} is not in the folder of a class; write drop or keep")
    return PurePath(*path.parts[:at], name, *path.parts[at + 1 :])


def apply(folder: Path, moves: list[Move]) -> Path:
    """Moves files, and returns the folder with the files that moved aside and the record of all moves.

    Args:
      folder: the folder that the moves are relative to.
      moves: as `planned` returns them.
    """
    kept = folder / ASIDE / f"{datetime.now(UTC):%Y-%m-%d_%H%M%S_%f}"
    kept.mkdir(parents=True)
    taken: set[Path] = set()
    done = []
    for source, target in moves:
        free = _free(folder / target if target else kept / source, taken)
        taken.add(free)
        done.append(Move(source, str(free.relative_to(folder))))
    with (kept / JOURNAL).open("w", newline="", errors="surrogateescape") as file:
        csv.writer(file).writerows(done)
    for move in done:
        _rename(folder / move.source, folder / move.target)
    return kept


def _free(path: Path, taken: set[Path]) -> Path:
    """Returns a path, or a numbered variant if the path is already taken or will be."""
    number, free = 0, path
    while free in taken or free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)  # a class may be a link to another disk


def undo(folder: Path) -> int:
    """Moves back what the latest `apply` moved, and returns how many files that was.

    Args:
      folder: as for `apply`.

    Raises:
      UserError: if there is nothing to undo, or something is in the way; then nothing has moved.
    """
    journals = sorted((folder / ASIDE).glob(f"*/{JOURNAL}"))
    if not journals:
        raise UserError(
            f"There is nothing to undo in {folder}: give the folder that `graftline clean-up apply` changed."
        )
    with journals[-1].open(newline="", errors="surrogateescape") as file:
        moves = [Move(*row) for row in csv.reader(file)]
    moved = [move for move in reversed(moves) if (folder / move.target).exists()]  # `apply` may have stopped halfway
    if blocked := [move.source for move in moved if (folder / move.source).exists()]:
        raise UserError(f"{blocked[0]!r} is in the way in {folder}: move it, and undo again.")
    for move in moved:
        _rename(folder / move.target, folder / move.source)
    journals[-1].rename(journals[-1].with_name(UNDONE))
    return len(moved)
