"""Corrects a folder of photos with the findings of the latest report: `graftline clean-up export | apply | undo`."""

from pathlib import Path

from graftline.artifacts import findings
from graftline.base.errors import UserError
from graftline.base.paths import aside
from graftline.runs import history
from graftline.settings.settings import Settings
from graftline.sources import clean_up
from graftline.sources.folder import Folder


def export(settings: Settings, table: Path, suggested: bool) -> int:
    """Writes the findings of the latest report as a table to edit, and returns how many files it lists.

    Args:
      settings: the pipeline's settings.
      table: the CSV file, which must not exist yet.
      suggested: whether to fill its column `action` with the suggestions.

    Raises:
      UserError: if no run has a report, or the table exists, because somebody may have edited it.
    """
    found = [path for run in history.read(settings) if (path := history.findings(run))]
    if not found:
        raise UserError(f"No run of {settings.name} has a report yet: `graftline run` makes one.")
    if table.exists():
        raise UserError(f"{table} already exists: give another name.")
    written = aside(table.absolute())
    try:
        count = findings.write_table(written, findings.read(found[-1]), suggested)
        written.replace(table)
    except OSError as error:
        raise UserError(f"{table} cannot be written ({error.strerror}): give another name.") from None
    return count


def apply(settings: Settings, table: Path) -> tuple[int, Path | None]:
    """Moves files as a table says; returns how many, and the folder with the dropped ones.

    Args:
      settings: the pipeline's settings.
      table: one that `export` wrote, edited.

    Raises:
      UserError: if the dataset is not a folder of classes, or the table asks for the impossible; then nothing moves.
    """
    folder = _folder(settings)
    moves = clean_up.planned(folder.held(), table)
    return len(moves), clean_up.apply(folder.folder, moves) if moves else None


def undo(settings: Settings) -> int:
    """Moves back the files that the latest `apply` moved, and returns how many.

    Raises:
      UserError: if there is nothing to undo.
    """
    return clean_up.undo(_folder(settings).folder)


def _folder(settings: Settings) -> Folder:
    source = settings.data.source
    if not isinstance(source, Folder):
        raise UserError(
            f"data.dataset = {settings.data.dataset!r} is not a folder of photos: clean-up can only move files of a "
            "dataset such as folder:PATH."
        )
    if source.wanted.labels:
        raise UserError(f"The classes of {source.folder} are in {source.wanted.labels}: correct that file instead.")
    return source
