"""Commands about data: `graftline schema`, `data`, `accept-data` and `clean-up`."""

from pathlib import Path

import click

from graftline.base import console
from graftline.cli.options import about, reason_option
from graftline.settings.settings import Settings


@click.command()
@about(data_is_here=True)
def schema(settings: Settings) -> None:
    """Infer a schema for a dataset that has none, so that you can review it."""
    console.quiet(settings.run.log_level)
    # These bring TensorFlow, which mistakes in the settings need not wait for
    from graftline.runs.infer_schema import infer_schema
    from pipeline import reading

    infer_schema(settings, reading(settings))


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@about()
def data(settings: Settings, archive: Path) -> None:
    """Prepare a TFDS set from ARCHIVE, a local copy of its original zip file."""
    settings.data.source.prepare(archive)


@click.command()
@about(of_last_run=True)
@reason_option
def accept_data(settings: Settings, reason: str) -> None:
    """Let the next run use exactly the data that the latest one stopped at."""
    from graftline.runs.accept_data import accept_data as accept

    told = accept(settings, reason).told
    console.line(f"The data of the latest run is {told}. The next run on it goes on.")


@click.group()
def clean_up() -> None:
    """Correct a folder of photos: wrong labels, copies, unreadable files. Nothing is deleted.

    `export` writes what deserves a look as a table, with suggestions. Write into its column action: keep, drop, or move to
    CLASS; then `apply` moves these files, and `undo` moves them back.
    """


@clean_up.command(name="export")
@click.argument("table", type=click.Path(path_type=Path))
@about(of_last_run=True)
@click.option("--suggested", is_flag=True, help="Fill in the suggested actions; review them before you apply them.")
def export(settings: Settings, table: Path, suggested: bool) -> None:
    """Write what the latest report found to TABLE, a CSV file."""
    from graftline.runs.clean_up import export as write

    count = write(settings, table, suggested)
    console.line(
        f"{count:,} files deserve a look: {table}. Fill in its column action, then `graftline clean-up apply`."
    )


@clean_up.command(name="apply")
@click.argument("table", type=click.Path(path_type=Path))
@about(of_last_run=True, data_is_here=True)
def apply(settings: Settings, table: Path) -> None:
    """Move the files that TABLE lists, as its column action says."""
    from graftline.runs.clean_up import apply as move

    moved, kept = move(settings, table)
    if not moved:
        console.line(f"{table} asks for no change: write keep, drop or move to CLASS into its column action.")
        return
    console.line(
        f"Moved {moved:,} files; what was dropped is in {kept}. `graftline clean-up undo` moves all of them back."
    )


@clean_up.command(name="undo")
@about(of_last_run=True)
def undo(settings: Settings) -> None:
    """Move back what the latest `apply` moved."""
    from graftline.runs.clean_up import undo as back

    console.line(f"Moved {back(settings):,} files back.")
