"""Runs, schedules and watches the compiled DAG on Kubeflow Pipelines.

`python -m kubeflow run [--set NAME=VALUE …]`, `schedule --cron '0 0 3 * * *' [--set …]`, `unschedule`, `status`.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from graftline.base import console
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.settings.load import load_or_exit
from graftline.settings.settings import Settings
from kubeflow.client import connected, run
from kubeflow.schedules import CRON, next_times, schedule, unschedule
from kubeflow.status import shown, status


def checked(assignments: list[str], defaults: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a run that were given.

    Args:
      assignments: NAME=VALUE each.
      defaults: every parameter with its default, whose type its values have.

    Raises:
      UserError: where one is not known, or its value is not of its type.
    """
    given = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in defaults:
            raise UserError(f"There is no run parameter {name!r}: the known ones are {', '.join(defaults)}.")
        try:
            given[name] = TypeAdapter(type(defaults[name])).validate_python(value)
        except ValidationError:
            default = defaults[name]
            raise UserError(f"{name} = {value!r} is no {type(default).__name__}; its default is {default}.") from None
    return given


def _compiled(settings: Settings, assignments: list[str]) -> tuple[Path, dict[str, Any]]:
    """Compiles the pipeline and checks the run parameters given."""
    console.quiet(settings.run.log_level)
    from kubeflow import compile as compiler  # imports TFX, which takes longer than all that the other commands do

    changes = checked(assignments, compiler.parameters(settings))
    package = compiler.compile_pipeline(settings, PROJECT / "output" / "kubeflow" / f"{settings.name}.yaml")
    if needed := compiler.secrets_needed(settings):
        console.line(needed)
    return package, changes


def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    package, changes = _compiled(settings, arguments.set)
    with connected(settings) as client:
        started = run(client, settings, package, changes)
    console.line(f"Started {started.display_name}: run {started.run_id}.")


def _schedule(settings: Settings, arguments: argparse.Namespace) -> None:
    zone = settings.cluster.time_zone
    times = next_times(arguments.cron, zone, 3)
    package, changes = _compiled(settings, arguments.set)
    with connected(settings) as client:
        schedule(client, settings, package, arguments.cron, changes)
    due = ", ".join(shown(time, zone) for time in times)
    console.line(f"Scheduled {settings.name} at {arguments.cron!r}, read in {zone} (cluster.time_zone); next: {due}.")


def _unschedule(settings: Settings, _: argparse.Namespace) -> None:
    with connected(settings) as client:
        count = unschedule(client, settings)
    console.line(f"Removed {count} schedule{'' if count == 1 else 's'} of {settings.name}.")


def _status(settings: Settings, _: argparse.Namespace) -> None:
    with connected(settings) as client:
        status(client, settings)


COMMANDS = {  # with what is said where they are stopped
    "run": (_run, "Stopped. `make kubeflow-status` says whether the run was started."),
    "schedule": (_schedule, "Stopped. The schedule is as it was before."),
    "unschedule": (
        _unschedule,
        "Stopped. The schedule is paused and starts nothing; `make kubeflow-unschedule` removes it when its run has ended.",
    ),
    "status": (_status, "Stopped."),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kubeflow", description="The DAG on Kubeflow Pipelines.")
    commands = parser.add_subparsers(required=True)
    for name, (action, stopped) in COMMANDS.items():
        command = commands.add_parser(name)
        command.set_defaults(action=action, stopped=stopped)
        if name == "schedule":
            command.add_argument("--cron", required=True, help=f"six fields: {CRON}")
        if name in ("run", "schedule"):
            command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a run parameter")
    return parser.parse_args()


def main() -> int:
    """Does what the command line asks, and returns the exit status."""
    arguments = _arguments()
    settings = load_or_exit(data_is_here=False)
    try:
        arguments.action(settings, arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(arguments.stopped, file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: a terminal that is closed leaves nothing half done
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
