"""Shows the latest runs of a pipeline on Kubeflow Pipelines, and its schedule."""

import re
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import kfp
import kfp_server_api

from graftline.base import console
from graftline.base.code import revision
from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow.client import find_pipeline_id, pages
from kubeflow.runs import latest
from kubeflow.schedules import ENABLED, next_times, schedules

LATEST_RUNS = 10
END = "end-run"  # the task that reports the end of a run
REVISION = re.compile(r"[0-9a-f]{7,40}(-dirty)?")  # as an image tag


def status(client: kfp.Client, settings: Settings) -> None:
    """Prints the latest runs of the pipeline and its schedule.

    Raises:
      UserError: if the server has no such pipeline or experiment.
    """
    pipeline_id = find_pipeline_id(client, settings)
    _show_runs(settings, list(islice(latest(client, settings, pipeline_id), LATEST_RUNS)))
    _show_schedules(client, settings, schedules(client, settings, pipeline_id))


def _show_runs(settings: Settings, runs: list[kfp_server_api.V2beta1Run]) -> None:
    zone = settings.cluster.time_zone
    console.line(f"Latest runs of {settings.name}, times in {zone}", style="bold")
    line = "{:36}  {:9}  {:19}  {:19}  {}"  # not a table, which would truncate ids to the terminal's width
    console.line(line.format("run", "state", "created", "finished", "name"))
    for run in runs:
        times = shown(run.created_at, zone), shown(run.finished_at, zone)
        console.line(line.format(run.run_id, run.state or "", *times, run.display_name))
    for run in runs:
        tasks = _tasks(run)
        if run.state == "FAILED" and tasks and tasks.get(END) != "SUCCEEDED":
            console.line(
                f"Run {run.run_id} failed, but its end was reported neither to a log nor to the webhook: see "
                "the run's page in Kubeflow."
            )


def _tasks(run: kfp_server_api.V2beta1Run) -> dict[str, str]:
    """Returns the states of a run's tasks, by their names in the compiled pipeline."""
    details = run.run_details.task_details if run.run_details else None
    return {task.display_name: task.state for task in details or ()}


def _show_schedules(
    client: kfp.Client, settings: Settings, schedules: list[kfp_server_api.V2beta1RecurringRun]
) -> None:
    zone = settings.cluster.time_zone
    for schedule in schedules:
        cron = schedule.trigger.cron_schedule.cron if schedule.trigger.cron_schedule else ""
        due = _next(cron, zone) if schedule.status == ENABLED else "paused; `graftline kubeflow schedule` recreates it"
        console.line(f"Scheduled at {cron!r}, read in {zone}: {due} ({schedule.recurring_run_id}).")
        _show_age(client, cron, schedule.pipeline_version_reference)
    if not schedules:
        console.line("Not scheduled.")


def _show_age(client: kfp.Client, cron: str, used: kfp_server_api.V2beta1PipelineVersionReference) -> None:
    """Prints whether a schedule, which keeps its compiled pipeline, is behind this checkout or a later upload."""
    listed = {"pipeline_id": used.pipeline_id, "sort_by": "created_at desc"}
    versions = list(pages(client.list_pipeline_versions, "pipeline_versions", **listed))
    version = next((one for one in versions if one.pipeline_version_id == used.pipeline_version_id), None)
    image = next(_images(version.pipeline_spec), "") if version else ""
    tag, behind = image.rpartition(":")[2], ""
    if version is None:
        behind = f"version {used.pipeline_version_id}, which has been deleted"
    elif REVISION.fullmatch(tag) and tag != revision():
        behind = f"the image {image}, but this checkout is at {revision()}"
    elif version is not versions[0]:
        behind = f"version {version.display_name}, but {versions[0].display_name} was uploaded later"
    if behind:
        console.line(f"It runs {behind}: `graftline kubeflow schedule --cron '{cron}'` updates it.", style="bold red")


def _images(spec: Any) -> Iterator[str]:
    """Yields the images that a compiled pipeline names."""
    for key, value in spec.items() if isinstance(spec, dict) else ():
        if key == "image":
            yield value
        else:
            yield from _images(value)


def _next(cron: str, zone: str) -> str:
    try:
        return f"next {shown(next_times(cron, zone, 1)[0], zone)}"
    except UserError:  # another program made it, in a form that this one cannot read
        return "next time unknown"


def shown(when: datetime | None, zone: str) -> str:
    """Returns a time to the second; empty if there is none, which the server reports as 1970."""
    return f"{when.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}" if when and when.timestamp() else ""
