"""Finds runs on Kubeflow Pipelines, by id or the latest ones, and stops them."""

from collections.abc import Iterator

import kfp
import kfp_server_api

from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow.client import find_pipeline_id, is_of, pages, place, where
from kubeflow.schedules import ENDED

LATEST = "latest"
CANCELING = "CANCELING"


def latest(client: kfp.Client, settings: Settings, of_pipeline: str) -> Iterator[kfp_server_api.V2beta1Run]:
    """Yields the runs of a pipeline, the latest first.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      of_pipeline: the id of the pipeline.

    Raises:
      UserError: if the server has no such experiment.
    """
    cluster = settings.cluster
    named = client.list_experiments(filter=where("display_name", cluster.experiment), namespace=cluster.namespace)
    if not named.experiments:
        raise UserError(
            f"There is no experiment {place(settings, cluster.experiment)}: `graftline kubeflow run` creates it."
        )
    experiment_id = named.experiments[0].experiment_id
    runs = pages(client.list_runs, "runs", experiment_id=experiment_id, sort_by="created_at desc")
    return (run for run in runs if is_of(run, of_pipeline))


def find(client: kfp.Client, settings: Settings, run_id: str) -> kfp_server_api.V2beta1Run:
    """Returns a run.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      run_id: the run's id, or `latest`.

    Raises:
      UserError: if the server has no such run.
    """
    if run_id == LATEST:
        run = next(latest(client, settings, find_pipeline_id(client, settings)), None)
        if run is None:
            raise UserError(
                f"There is no run of {place(settings, settings.name)}: `graftline kubeflow run` starts one."
            )
        return run
    try:
        return client.get_run(run_id)
    except kfp_server_api.ApiException as error:
        if error.status != 404:
            raise
        raise UserError(
            f"There is no run {place(settings, run_id)}: `graftline kubeflow status` lists the runs."
        ) from None


def stop(client: kfp.Client, settings: Settings, run_id: str) -> str:
    """Stops a run, and returns a sentence that says what was done.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      run_id: the run's id.

    Raises:
      UserError: if no id is given, or the server has no such run.
    """
    if not run_id:
        raise UserError("RUN is empty: give the id of a run from `graftline kubeflow status`.")
    run = find(client, settings, run_id)
    if done := _over(run):
        return done
    try:
        client.terminate_run(run.run_id)
    except kfp_server_api.ApiException as error:
        done = _over(client.get_run(run.run_id))  # the run may have just ended
        if error.status != 400 or not done:
            raise
        return done
    return (
        f"Run {run.run_id} is being stopped: its pods end now, and `graftline kubeflow status` then shows it as FAILED."
    )


def _over(run: kfp_server_api.V2beta1Run) -> str:
    """Returns why there is nothing to stop; empty if the run can be stopped."""
    if run.state in ENDED:
        return f"Run {run.run_id} has already ended ({run.state}): there is nothing to stop."
    return f"Run {run.run_id} is already being stopped." if run.state == CANCELING else ""
