"""The options that commands share: which data they act on, and which settings they change."""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from graftline.base.errors import SettingsError
from graftline.base.paths import from_here
from graftline.settings import chosen
from graftline.settings.load import CONFIG_VARIABLE, load, variable

Command = Callable[..., Any]


class Data(click.ParamType):
    """A folder, the name of a TFDS set, or a configuration; shells complete configurations and folders."""

    name = "data"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Returns completions for a shell."""
        from click.shell_completion import CompletionItem

        from graftline.settings.load import names

        known = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*known, CompletionItem(incomplete, type="dir")]


def _seen_from_here(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Returns an absolute path, because settings are relative to the project and not to this folder."""
    try:
        return path and str(from_here(path))
    except ValueError as error:
        raise SettingsError(f"--labels {path}: {error}.") from None


DATA = Data()
labels_option = click.option(
    "--labels",
    callback=_seen_from_here,
    metavar="CSV",
    help="CSV table with one file and its class per row.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")
reason_option = click.option("--reason", required=True, help="Reason, which Graftline records.")


def about(
    *, of_last_run: bool = False, demanded: bool = False, data_is_here: bool = False
) -> Callable[[Command], Command]:
    """Adds `--data` and `--set` to a command, prints what it acts on, and calls it with those settings.

    Args:
      of_last_run: whether it acts on the data of the last run if none is given.
      demanded: whether data must be given.
      data_is_here: whether a dataset that is a folder must be on this machine.
    """

    def decorate(command: Command) -> Command:
        @click.option("-d", "--data", type=DATA, required=demanded, help=_help(of_last_run, demanded))
        @click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
        @functools.wraps(command)
        def called(data: str | None, changes: tuple[str, ...], **given: Any) -> Any:
            return command(settings_of(data, changes, of_last_run, data_is_here), **given)

        return called

    return decorate


def _help(of_last_run: bool, demanded: bool) -> str:
    default = "the data of the last run" if of_last_run else "the digits"
    alone = f"; by default {chosen.CONFIG_VARIABLE}, or {default}"
    return f"Folder of photos, TFDS name or configuration{'' if demanded else alone}."


def settings_of(data: str | None, changes: tuple[str, ...], of_last_run: bool, data_is_here: bool) -> Any:
    """Prints what a command acts on, and returns its settings.

    Modules imported later, and child processes, find the choice in the environment.

    Args:
      data: as given; None if nothing was.
      changes: KEY=VALUE each.
      of_last_run: as in `about`.
      data_is_here: as in `about`.

    Raises:
      SettingsError: if there is a mistake in them.
    """
    for change in changes:
        change_setting(change)
    choice = chosen.choose(data, of_last_run)
    os.environ[CONFIG_VARIABLE] = choice.config
    if not choice.config.startswith("{"):
        print(f"Data: {chosen.shown(choice.config)} ({choice.why})", file=sys.stderr, flush=True)
    return load(data_is_here)


def change_setting(change: str) -> None:
    """Changes a setting for this process and its children.

    Args:
      change: KEY=VALUE.

    Raises:
      SettingsError: if there is no such setting.
    """
    key, equals, value = change.partition("=")
    if not equals:
        raise SettingsError(f"--set {change} has no value: write --set {change}=<value>.")
    os.environ[variable(key)] = value
