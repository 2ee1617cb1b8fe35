"""`graftline run`: from data to a pushed model, in one process."""

import dataclasses
import json
import os
from typing import Any

import click

from graftline.base import console, stop
from graftline.base.errors import SettingsError
from graftline.cli.options import DATA, about, json_option, labels_option
from graftline.cli.quiet import import_tensorflow
from graftline.settings.load import variable
from graftline.settings.settings import Settings

# Options that are settings, with their keys
SHORT = {
    "backbone": "model.backbone",
    "labels": "data.labels",
    "wait": "run.wait_minutes",
    "adopt": "run.adopt",
    "force": "run.force_retrain",
}


class Run(click.Command):
    """A command that takes its data as an argument or an option, and settings as options."""

    def invoke(self, ctx: click.Context) -> Any:
        """Turns both into the options that all commands have, and runs the command."""
        from graftline.sources.folder import listed_once

        place, given = ctx.params.pop("place"), ctx.params.get("data")
        if place and given and place != given:
            raise SettingsError(f"The data is given twice, as {place} and as --data {given}: leave out one of them.")
        ctx.params["data"] = place or given
        for option, key in SHORT.items():
            value = ctx.params.pop(option)
            if value not in (None, False):
                os.environ[variable(key)] = str(value).lower() if value is True else str(value)
        with listed_once():
            return super().invoke(ctx)


@click.command(cls=Run)
@click.argument("place", metavar="[DATA]", type=DATA, required=False)
@about(data_is_here=True)
@click.option("--backbone", help="The pretrained network, one of those that `graftline backbones` lists.")
@labels_option
@click.option("--dry-run", is_flag=True, help="Only print which components would run, which are cached, and why.")
@click.option(
    "--wait", type=float, metavar="MINUTES", help="Wait this long for another run of the same pipeline to end."
)
@click.option("--force", is_flag=True, help="Train again even if nothing has changed.")
@click.option("--adopt", is_flag=True, help="Use this name for this data, even if it belonged to other data.")
@json_option
def run(settings: Settings, dry_run: bool, as_json: bool) -> int:
    """Train, evaluate and push a model.

    DATA is a folder with one folder of photos per class, or of any layout with --labels; the name of a TFDS set such as
    tf_flowers; or a configuration. Without it, the handwritten digits run. Finished work is kept: the same command resumes
    where it stopped.
    """
    console.quiet(settings.run.log_level)
    stop.leave_when_asked()  # while imports take seconds
    if as_json:
        console.to_stderr()
    import_tensorflow()
    from pipeline import create_pipeline, reading

    if dry_run:
        return _show_plan(settings, create_pipeline, as_json)
    from graftline.runs import local

    status = local.program(settings, create_pipeline, reading)
    stop.leave_if_stopped(status)
    if as_json and not status:
        from graftline.runs import history

        runs = history.read(settings)
        click.echo(json.dumps(history.facts(settings, runs, runs[-1], alive=False), indent=1))
    return status


def _show_plan(settings: Settings, create_pipeline: Any, as_json: bool) -> int:
    from graftline.runs import dry_run, provisional

    if provisional.is_due(settings):
        console.line("No run has used this data yet: the first one infers a schema and then runs every component.")
        return 0
    steps = dry_run.plan(settings, create_pipeline)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(step) for step in steps], indent=1))
        return 0
    rows = [[step.node, "cached" if step.cached else "would run", step.why] for step in steps]
    console.table("What a run would do", ["component", "", "why"], rows, texts=3)
    return 0
