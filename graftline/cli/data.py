"""Commands about data: `graftline schema`, `data`, `accept-data` and `clean-up`."""

from pathlib import Path

import click

from graftline.base import console
from graftline.base.counted import counted
from graftline.cli.options import about, reason_option
from graftline.cli.quiet import import_tensorflow
from graftline.settings.settings import Settings


@click.command()
@about(data_is_here=True)
def schema(settings: Settings) -> None:
    """Infer a schema for a dataset that has none, so that you can review it."""
    console.quiet(settings.run.log_level)
    # These import TensorFlow, which takes seconds; errors in the settings are reported before that
    from graftline.runs.infer_schema import infer_schema
    from pipeline import reading

    infer_schema(settings, reading(settings))


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@about()
def data(settings: Settings, archive: Path) -> None:
    """Prepare a TFDS set from ARCHIVE, a local copy of its original zip file."""
    console.quiet(settings.run.log_level)
    import_tensorflow()
    settings.data.source.prepare(archive)


@click.command()
@about(of_last_run=True)
@reason_option
def accept_data(settings: Settings, reason: str) -> None:
    """Let the next run use exactly the data that the latest one stopped at."""
    from graftline.runs.accept_data import accept_data as accept

    told = accept(settings, reason).told
    console.line(f"The data of the latest run is {told}. The next run will use it.")


@click.group()
def clean_up() -> None:
    """Correct a folder of photos: wrong labels, copies, unreadable files. Nothing is deleted.

    `export` writes a table of the files that deserve a look, with suggestions. Fill in its column `action` with keep, drop
    or move to CLASS; then `apply` moves these files, and `undo` moves them back.
    """


@clean_up.command(name="export")
@click.argument("table", type=click.Path(path_type=Path))
@about(of_last_run=True)
@click.option("--suggested", is_flag=True, help="Fill in the suggested actions; review them before you apply them.")
def export(settings: Settings, table: Path, suggested: bool) -> None:
    """Write the findings of the latest report to TABLE, a CSV file."""
    from graftline.runs.clean_up import export as write

    look = counted(write(settings, table, suggested), "file")
    console.line(f"To look at: {look}, see {table}. Fill in its action column, then run `graftline clean-up apply`.")


@clean_up.command(name="apply")
@click.argument("table", type=click.Path(path_type=Path))
@about(of_last_run=True, data_is_here=True)
def apply(settings: Settings, table: Path) -> None:
    """Move the files in TABLE as its action column says."""
    from graftline.runs.clean_up import apply as move

    moved, kept = move(settings, table)
    if not moved:
        console.line(f"{table} requests no changes: write keep, drop or move to CLASS in its action column.")
        return
    console.line(
        f"Moved {counted(moved, 'file')}; the dropped ones are in {kept}. `graftline clean-up undo` moves all of them back."
    )


@clean_up.command(name="undo")
@about(of_last_run=True)
def undo(settings: Settings) -> None:
    """Move the files of the latest `apply` back."""
    from graftline.runs.clean_up import undo as back

    console.line(f"Moved {counted(back(settings), 'file')} back.")
