"""Commands that show the choices: `graftline settings` and `backbones`."""

import json
import os
from typing import Any

import click

from graftline.base import console
from graftline.base.errors import SettingsError, did_you_mean
from graftline.cli.options import about, json_option
from graftline.settings import load
from graftline.settings.backbones import BACKBONES
from graftline.settings.section import flat, text
from graftline.settings.settings import Settings


@click.command()
@click.argument("key", required=False)
@about(of_last_run=True)
@json_option
def settings(settings: Settings, key: str | None, as_json: bool) -> None:
    """Show every setting, its value and its source; with a KEY, such as training or gate.min_accuracy, only that one."""
    values = dict(flat(settings.model_dump(mode="json", exclude={"metadata": {"password"}, "cluster": True})))
    shown = {name: value for name, value in values.items() if key is None or f"{name}.".startswith(f"{key}.")}
    if not shown:
        raise SettingsError(f"There is no setting {key!r}: {did_you_mean(str(key), [*Settings.model_fields, *values])}")
    if as_json:
        click.echo(json.dumps(shown, indent=1))
        return
    written = dict(flat(load.written()))
    rows = [[name, text(value), _origin(name, written)] for name, value in shown.items()]
    console.table(f"Settings of {settings.name}", ["setting", "value", "from"], rows, texts=3)
    console.line("docs/reference/settings.md describes them; `--set KEY=VALUE` changes one for a run.")


def _origin(name: str, written: dict[str, Any]) -> str:
    changed = {load.key_of(variable) for variable in os.environ if variable.startswith(load.PREFIX)}
    if any(f"{name}.".startswith(f"{key}.") for key in changed):
        return "environment or --set"
    return "configuration" if name in written else "default"


@click.command()
@json_option
def backbones(as_json: bool) -> None:
    """List the pretrained networks to build on, each with its image size and the first layer that phase 2 trains."""
    rows = [
        {
            "name": backbone.name,
            "image_size": backbone.image_size,
            "fine_tune_at": backbone.fine_tune_at,
            "layers": len(backbone.layers),
            "weights_at": backbone.weights_at,
        }
        for backbone in BACKBONES.values()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    columns = ["backbone", "image size", "phase 2 trains from", "layers", "pretrained at"]
    shown = [
        [", ".join(map(str, cell)) if isinstance(cell, tuple) else str(cell) for cell in row.values()] for row in rows
    ]
    console.table("Backbones", columns, shown, texts=1)
    console.line("`graftline run DATA --backbone NAME` uses one, with its own size and layer.")
