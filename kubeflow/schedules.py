"""Creates, replaces and removes the schedule of a pipeline on Kubeflow Pipelines without harming a run in progress.

When the server deletes a schedule, it also deletes the runs that the schedule started, even one in progress: the schedule
owns their workflows (2.17.0, backend/src/crd/controller/scheduledworkflow/util/scheduled_workflow.go, `NewWorkflow`), and a
new schedule does not know them. So a schedule is paused first, and removed once none of its runs is in progress.
"""

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import kfp
import kfp_server_api
from croniter import CroniterError, croniter

from graftline.base import console
from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow.client import experiment, find_pipeline_id, is_of, pages, upload, where

CRON = "minutes hours day month weekday, such as '0 3 * * *'"
ENDED = {"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"}  # final states of a run
POLL_SECONDS = 5
LOOKS = 2  # without a run, because the server learns of a run only seconds after it starts
ENABLED = "ENABLED"

Schedules = list[kfp_server_api.V2beta1RecurringRun]


def with_seconds(cron: str) -> str:
    """Returns a cron time as the server wants it, seconds first; five fields mean at second 0."""
    return f"0 {cron}" if len(cron.split()) == 5 else cron


def next_times(cron: str, zone: str, count: int) -> list[datetime]:
    """Returns when a schedule is next due. The server checks the time again, and accepts fewer forms.

    Args:
      cron: six fields, seconds first.
      zone: the time zone of these fields.
      count: how many times to return.

    Raises:
      UserError: if `cron` does not have six fields, or never matches a date.
    """
    fields = len(cron.split())
    if fields != 6:
        raise UserError(f"--cron {cron!r} has {fields} fields: give five ({CRON}), or six with the seconds first.")
    try:
        due = croniter(cron, datetime.now(ZoneInfo(zone)), ret_type=datetime, second_at_beginning=True)
        return [due.get_next() for _ in range(count)]
    except CroniterError:
        raise UserError(f"--cron {cron!r} never matches a date: give {CRON}.") from None


def schedules(client: kfp.Client, settings: Settings, of_pipeline: str) -> Schedules:
    """Returns the schedules of a pipeline.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      of_pipeline: the id of the pipeline.
    """
    every = pages(client.list_recurring_runs, "recurring_runs", namespace=settings.cluster.namespace)
    return [schedule for schedule in every if is_of(schedule, of_pipeline)]


def schedule(client: kfp.Client, settings: Settings, package: Path, cron: str, changes: dict[str, Any]) -> None:
    """Schedules the pipeline, one run at a time, and replaces its older schedules.

    The new schedule starts when the last run of the older ones has ended. If this is interrupted before that, the older
    ones stay as they were.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      package: the YAML file compiled from them.
      cron: the time, as checked by `next_times`.
      changes: run parameters that differ from their defaults.
    """
    version = upload(client, settings, package)
    older = schedules(client, settings, version.pipeline_id)
    with contextlib.ExitStack() as undo:
        made = client.create_recurring_run(
            experiment_id=experiment(client, settings),
            job_name=settings.name,
            cron_expression=cron,
            max_concurrency=1,
            no_catchup=True,
            params=changes,
            pipeline_id=version.pipeline_id,
            version_id=version.pipeline_version_id,
            service_account=settings.cluster.service_account,
            enabled=not older,
        )
        undo.callback(_remove, client, [made])
        if older:
            _pause(client, older, undo)
            _wait_for_runs(client, older)
            client.enable_recurring_run(made.recurring_run_id)
        undo.pop_all()
    _remove(client, older)  # last, so that a failure leaves an extra paused schedule rather than none


def unschedule(client: kfp.Client, settings: Settings) -> int:
    """Removes all schedules of the pipeline, and returns how many; a run in progress continues to its end.

    If this is interrupted while it waits for such a run, the schedules stay paused.

    Raises:
      UserError: if the server has no such pipeline.
    """
    older = schedules(client, settings, find_pipeline_id(client, settings))
    _pause(client, older, contextlib.ExitStack())
    _wait_for_runs(client, older)
    _remove(client, older)
    return len(older)


def _pause(client: kfp.Client, older: Schedules, undo: contextlib.ExitStack) -> None:
    """Pauses schedules, and records how to resume them."""
    for schedule in older:
        if schedule.status == ENABLED:
            undo.callback(client.enable_recurring_run, schedule.recurring_run_id)
            client.disable_recurring_run(schedule.recurring_run_id)


def _wait_for_runs(client: kfp.Client, older: Schedules) -> None:
    """Waits until no run of these schedules is in progress, and shows which runs it waits for."""
    looks = LOOKS if any(schedule.status == ENABLED for schedule in older) else 1
    with console.waiting() as shown:
        while looks:
            going_on = [run for schedule in older for run in _going_on(client, schedule)]
            if going_on:
                shown(f"Waiting for {_named(going_on)} of the old schedule to end")
            else:
                looks -= 1
            if looks:
                time.sleep(POLL_SECONDS)


def _going_on(client: kfp.Client, schedule: kfp_server_api.V2beta1RecurringRun) -> Iterator[kfp_server_api.V2beta1Run]:
    of_schedule = where("recurring_run_id", schedule.recurring_run_id)
    for run in pages(client.list_runs, "runs", experiment_id=schedule.experiment_id, filter=of_schedule):
        if run.state not in ENDED:
            yield run


def _named(runs: list[kfp_server_api.V2beta1Run]) -> str:
    return " and ".join(f"run {run.run_id} ({(run.state or 'PENDING').lower()})" for run in runs)


def _remove(client: kfp.Client, older: Schedules) -> None:
    """Removes schedules but not their workflows, on servers from 2.17 on; older ones ignore the policy."""
    for schedule in older:
        try:
            client.recurring_runs.recurring_run_service_delete_recurring_run(
                recurring_run_id=schedule.recurring_run_id, propagation_policy="ORPHAN"
            )
        except kfp_server_api.ApiException as error:
            if error.status != 404:  # already deleted by a request whose answer was lost
                raise
