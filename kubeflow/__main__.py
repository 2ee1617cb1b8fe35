"""Runs, schedules and watches the compiled DAG on Kubeflow Pipelines, and does what a person does with its files there.

`python -m kubeflow run [--set NAME=VALUE …]`, `schedule --cron '0 0 3 * * *' [--set …]`, `unschedule`, `status`,
`logs [RUN] [--follow]`, `stop RUN`, `put FOLDER [--to NAME]`, `report [RUN]`, `rollback WHY`.
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
from kubeflow import logs, runs
from kubeflow.client import connected, run
from kubeflow.pods import secrets_needed
from kubeflow.schedules import CRON, next_times, schedule, unschedule
from kubeflow.status import shown, status
from kubeflow.visits.put import put
from kubeflow.visits.report import fetch
from kubeflow.visits.rollback import roll_back
from kubeflow.visits.visitor import ProgramError


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
    if needed := secrets_needed(settings):
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


def _logs(settings: Settings, arguments: argparse.Namespace) -> None:
    with connected(settings) as client:
        logs.show(client, settings, arguments.run or runs.LATEST, arguments.follow)


def _stop(settings: Settings, arguments: argparse.Namespace) -> None:
    with connected(settings) as client:
        console.line(runs.stop(client, settings, arguments.run))


def _put(settings: Settings, arguments: argparse.Namespace) -> None:
    dataset = put(settings, arguments.folder, arguments.name)
    console.line(f'A configuration names them as data: {{dataset: "{dataset}"}}, and finds them on the cluster.')


def _report(settings: Settings, arguments: argparse.Namespace) -> None:
    page = fetch(settings, arguments.run or runs.LATEST, PROJECT / "output" / "kubeflow" / "reports")
    console.line(f"Report: {page}")


def _rollback(settings: Settings, arguments: argparse.Namespace) -> None:
    roll_back(settings, arguments.why)


COMMANDS = {  # with what is said where they are stopped
    "run": (_run, "Stopped. `make kubeflow-status` says whether the run was started."),
    "schedule": (_schedule, "Stopped. The schedule is as it was before."),
    "unschedule": (
        _unschedule,
        "Stopped. The schedule is paused and starts nothing; `make kubeflow-unschedule` removes it when its run has ended.",
    ),
    "status": (_status, "Stopped."),
    "logs": (_logs, "Stopped. The run goes on."),
    "stop": (_stop, "Stopped. `make kubeflow-status` says whether the run is being stopped."),
    "put": (_put, "Stopped. Nothing was copied."),
    "report": (_report, "Stopped. No report was fetched."),
    "rollback": (
        _rollback,
        "Stopped before the cluster said how it went: `make kubeflow-rollback` may have taken the model back; see which "
        "version the model server serves.",
    ),
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
        if name in ("logs", "stop", "report"):
            command.add_argument(
                "run", nargs="?", default="", help="id of a run; the latest by default, but to stop one"
            )
        if name == "logs":
            command.add_argument("--follow", action="store_true", help="until the run ends")
        if name == "put":
            command.add_argument("folder", help="of photos, a folder per class")
            command.add_argument(
                "--to", dest="name", default="", help="its name on the volume, the folder's by default"
            )
        if name == "rollback":
            command.add_argument("why", help="the reason, which is kept")
    return parser.parse_args()


def main() -> int:
    """Does what the command line asks, and returns the exit status."""
    arguments = _arguments()
    settings = load_or_exit(data_is_here=False)
    try:
        arguments.action(settings, arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return error.status if isinstance(error, ProgramError) else 1
    except KeyboardInterrupt:
        print(arguments.stopped, file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: a terminal that is closed leaves nothing half done
        signal.signal(number, signal.default_int_handler)
    sys.exit(main())
