"""`graftline kubeflow …`: runs, schedules and watches the DAG on Kubeflow Pipelines, and manages its files there."""

import functools
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from graftline.base import console
from graftline.base.code import revision
from graftline.base.errors import UserError
from graftline.base.paths import HOME, IS_CHECKOUT, PROJECT
from graftline.base.stop import STATUS as STOPPED
from graftline.cli.options import about, change_setting, labels_option, reason_option
from graftline.settings.settings import Settings

OUTPUT = HOME / "output" / "kubeflow"
IMAGE_FILE = PROJECT / "kubeflow" / "image" / "Containerfile"

Command = Callable[..., Any]
run_argument = click.argument("run", default="latest", required=False)


@click.group()
def kubeflow() -> None:
    """Run the DAG on Kubeflow Pipelines, now or on a schedule, and look after the runs.

    The section `cluster` of the configuration says where the server and the volume are.
    """
    if not IS_CHECKOUT:
        raise UserError(
            "graftline kubeflow needs a checkout of the project, not only its wheel: clone it and run the command there."
        )


def on_cluster(stopped: str, **choice: bool) -> Callable[[Command], Command]:
    """Adds the common options and `--image` to a command, and prints what Ctrl-C leaves behind.

    Args:
      stopped: what is printed then.
      **choice: as in `about`.
    """

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def told(*given: Any, **named: Any) -> Any:
            try:
                return command(*given, **named)
            except KeyboardInterrupt:
                print(f"Stopped. {stopped}".strip(), file=sys.stderr)
                return STOPPED

        chosen = about(**(choice or {"of_last_run": True}))(told)

        @click.option("--image", metavar="IMAGE", help="Image that pods run, instead of cluster.image.")
        @functools.wraps(chosen)
        def called(image: str | None, **named: Any) -> Any:
            if image:
                change_setting(f"cluster.image={image}")
            return chosen(**named)

        return called

    return decorate


parameters_option = click.option(
    "-p", "--param", "assignments", multiple=True, metavar="NAME=VALUE", help="Parameter of the run; may be repeated."
)


def _compiled(settings: Settings, assignments: tuple[str, ...]) -> tuple[Path, dict[str, Any]]:
    """Compiles the pipeline and checks the given run parameters."""
    console.quiet(settings.run.log_level)
    from kubeflow import compile as compiler  # imports TFX, which takes longer than all other commands
    from kubeflow.parameters import checked
    from kubeflow.pods import secrets_needed

    changes = checked(assignments, compiler.parameters(settings))
    package = compiler.compile_pipeline(settings, OUTPUT / f"{settings.name}.yaml")
    if needed := secrets_needed(settings):
        console.line(needed)
    return package, changes


@kubeflow.command()
@click.argument("name", metavar="IMAGE")
@click.option("--variant", type=click.Choice(["cpu", "gpu"]), default="cpu", show_default=True)
@click.option("--base", help="Base image to build on.")
@click.option(
    "--weights-of",
    multiple=True,
    metavar="CONFIG",
    help="Include the pretrained weights of this configuration; may be repeated.",
)
def image(name: str, variant: str, base: str | None, weights_of: tuple[str, ...]) -> int:
    """Build the image that pods run, as IMAGE:<revision>, with podman or docker."""
    engine = shutil.which("podman") or shutil.which("docker")
    if engine is None:
        raise UserError(f"Neither podman nor docker is installed: install one, or build {IMAGE_FILE} elsewhere.")
    tag = f"{name}:{revision()}"
    arguments = {"REVISION": revision(), "VARIANT": variant, "BASE": base, "CONFIGS": " ".join(weights_of)}
    given = [word for key, value in arguments.items() if value for word in ("--build-arg", f"{key}={value}")]
    built = subprocess.run(
        [engine, "build", "--file", str(IMAGE_FILE), "--tag", tag, *given, str(PROJECT)], check=False
    ).returncode
    if not built:
        console.line(f"Built {tag}. `{Path(engine).name} push {tag}` publishes it for the cluster.")
    return built


@kubeflow.command("compile")
@on_cluster("Nothing was written.")
def compile_dag(settings: Settings) -> None:
    """Compile the DAG for Kubeflow Pipelines into output/kubeflow."""
    package, _ = _compiled(settings, ())
    console.line(str(package))


@kubeflow.command()
@on_cluster("`graftline kubeflow status` says whether the run was started.", of_last_run=False)
@parameters_option
def run(settings: Settings, assignments: tuple[str, ...]) -> None:
    """Compile the DAG, and run it on the cluster."""
    from kubeflow.client import connected
    from kubeflow.client import run as start

    package, changes = _compiled(settings, assignments)
    with connected(settings) as client:
        started = start(client, settings, package, changes)
    console.line(f"Started {started.display_name}: run {started.run_id}.")


@kubeflow.command()
@on_cluster("The schedule has not changed.", of_last_run=False)
@click.option("--cron", required=True, help="Five fields, such as '0 3 * * *', or six with the seconds first.")
@parameters_option
def schedule(settings: Settings, cron: str, assignments: tuple[str, ...]) -> None:
    """Run the DAG on the cluster on a schedule, which replaces any earlier one."""
    from kubeflow.client import connected
    from kubeflow.schedules import next_times, with_seconds
    from kubeflow.schedules import schedule as replace
    from kubeflow.status import shown

    zone, cron = settings.cluster.time_zone, with_seconds(cron)
    times = next_times(cron, zone, 3)
    package, changes = _compiled(settings, assignments)
    with connected(settings) as client:
        replace(client, settings, package, cron, changes)
    due = ", ".join(shown(time, zone) for time in times)
    console.line(f"Scheduled {settings.name} at {cron!r}, read in {zone} (cluster.time_zone); next: {due}.")


@kubeflow.command()
@on_cluster(
    "The schedule is paused and starts no runs; `graftline kubeflow unschedule` removes it once its run has ended."
)
def unschedule(settings: Settings) -> None:
    """End the schedule."""
    from kubeflow.client import connected
    from kubeflow.schedules import unschedule as remove

    with connected(settings) as client:
        count = remove(client, settings)
    console.line(f"Removed {count} schedule{'' if count == 1 else 's'} of {settings.name}.")


@kubeflow.command()
@on_cluster("")
def status(settings: Settings) -> None:
    """Show the latest runs and the schedule."""
    from kubeflow.client import connected
    from kubeflow.status import status as show

    with connected(settings) as client:
        show(client, settings)


@kubeflow.command()
@run_argument
@on_cluster("The run continues.")
@click.option("--follow", is_flag=True, help="Keep printing until the run ends.")
def logs(settings: Settings, run: str, follow: bool) -> None:
    """Print the logs of a run, by default the latest."""
    from kubeflow import logs as log
    from kubeflow.client import connected

    with connected(settings) as client:
        log.show(client, settings, run, follow)


@kubeflow.command()
@click.argument("run")
@on_cluster("`graftline kubeflow status` says whether the run is being stopped.")
def stop(settings: Settings, run: str) -> None:
    """End a run."""
    from kubeflow import runs
    from kubeflow.client import connected

    with connected(settings) as client:
        console.line(runs.stop(client, settings, run))


@kubeflow.command()
@run_argument
@on_cluster("No report was fetched.")
def report(settings: Settings, run: str) -> None:
    """Fetch the report of a run, by default the latest, into output/kubeflow/reports."""
    from kubeflow.visits.report import fetch

    console.line(f"Report: {fetch(settings, run, OUTPUT / 'reports')}")


@kubeflow.command()
@click.argument("folder")
@on_cluster("Nothing was copied.")
@click.option("--to", default="", metavar="NAME", help="Name on the volume; by default, that of the folder.")
@labels_option
def upload(settings: Settings, folder: str, to: str, labels: str | None) -> None:
    """Copy a FOLDER of photos onto the cluster's volume: one folder per class, or any layout with --labels."""
    from kubeflow.visits.put import put

    named = put(settings, folder, to, Path(labels) if labels else None)
    section = ", ".join(f'{key}: "{value}"' for key, value in named.items())
    console.line(f"To use them on the cluster, write data: {{{section}}} into a configuration.")


@kubeflow.command()
@on_cluster(
    "The cluster has not reported the result, and may have rolled back; check which version the model server serves.",
    demanded=True,
)
@reason_option
def rollback(settings: Settings, reason: str) -> None:
    """Withdraw the model in production on the cluster and republish the previous good one."""
    from kubeflow.visits.rollback import roll_back

    roll_back(settings, reason)
