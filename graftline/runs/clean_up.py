"""Corrects a folder of photos by what the latest report found: `graftline clean-up export | apply | undo`."""

from pathlib import Path

from graftline.artifacts import findings
from graftline.base.errors import UserError
from graftline.base.paths import aside
from graftline.runs import history
from graftline.settings.settings import Settings
from graftline.sources import clean_up
from graftline.sources.folder import Folder


def export(settings: Settings, table: Path, suggested: bool) -> int:
    """Writes what the latest report found as a table for people, and returns how many files it has.

    Args:
      settings: those of the pipeline.
      table: the CSV file, which is not there yet.
      suggested: whether the suggestions stand in its column `action`.

    Raises:
      UserError: where no run has a report, or the table is there, which somebody may have edited.
    """
    found = [path for run in history.read(settings) if (path := history.findings(run))]
    if not found:
        raise UserError(f"No run of {settings.name} has told what deserves a look: `graftline run` does.")
    if table.exists():
        raise UserError(f"{table} is there already: give another name.")
    written = aside(table.absolute())
    try:
        count = findings.write_table(written, findings.read(found[-1]), suggested)
        written.replace(table)
    except OSError as error:
        raise UserError(f"{table} cannot be written ({error.strerror}): give another name.") from None
    return count


def apply(settings: Settings, table: Path) -> tuple[int, Path | None]:
    """Moves files as a table says; returns how many, and where those are that were dropped.

    Args:
      settings: those of the pipeline.
      table: as `export` writes it, edited.

    Raises:
      UserError: where the dataset is no folder of classes, or the table asks for what cannot be done; nothing moves then.
    """
    folder = _folder(settings)
    moves = clean_up.planned(folder.held(), table)
    return len(moves), clean_up.apply(folder.folder, moves) if moves else None


def undo(settings: Settings) -> int:
    """Moves back what the latest `apply` has moved, and returns how many files these were.

    Raises:
      UserError: where nothing is to be undone.
    """
    return clean_up.undo(_folder(settings).folder)


def _folder(settings: Settings) -> Folder:
    source = settings.data.source
    if not isinstance(source, Folder):
        raise UserError(f"data.dataset = {settings.data.dataset!r} is no folder of photos, so no files can be moved.")
    if source.wanted.labels:
        raise UserError(f"The classes of {source.folder} are in {source.wanted.labels}: correct that instead.")
    return source
