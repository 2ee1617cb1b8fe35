"""Commands about data: `graftline schema`, `data` and `accept-data`."""

from pathlib import Path

import click

from graftline.base import console
from graftline.cli.options import about, reason_option
from graftline.settings.settings import Settings


@click.command()
@about(data_is_here=True)
def schema(settings: Settings) -> None:
    """Infer the schema of a dataset that has none, for you to review."""
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
    """Let the next run go on with exactly the data that the latest one stopped at."""
    from graftline.runs.accept_data import accept_data as accept

    told = accept(settings, reason).told
    console.line(f"The data of the latest run is {told}. The next run on it goes on.")
