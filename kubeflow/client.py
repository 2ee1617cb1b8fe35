"""Runs, schedules and watches the compiled DAG on Kubeflow Pipelines.

`python -m kubeflow.client run [--set NAME=VALUE …]`, `schedule --cron '0 0 3 * * *' [--set …]`, `unschedule`, `status`.

The server is the one at `cluster.endpoint`. A token for it is taken from the environment variable KF_PIPELINES_TOKEN. Where
that is not set, the KFP SDK's own ways hold: the cookie or header in ~/.config/kfp/context.json, and the clients of an
Identity-Aware Proxy in KF_PIPELINES_IAP_OAUTH2_CLIENT_ID and its siblings. The links that are printed lead to
KF_PIPELINES_UI_ENDPOINT, where that is set.

A first run uploads the pipeline, later ones new versions of it. A version is named by the git revision and a digest of the
YAML; one that is there already is used again.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import kfp
import kfp_server_api
import urllib3
from croniter import CroniterError, croniter
from pydantic import TypeAdapter, ValidationError

import configuration
import console
from configuration import revision
from settings import PROJECT, Settings, UserError

TOKEN = "KF_PIPELINES_TOKEN"
ATTEMPTS, BACKOFF_SECONDS = 4, 0.5
TIMEOUTS = 5, 15  # seconds to connect to the server, and to its first answer
PAGE, LATEST_RUNS = 100, 10
CRON = "seconds minutes hours day month weekday, such as '0 0 3 * * *'"


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[kfp.Client]:
    """Connects to the server; what goes wrong with it inside the block is told as a user's mistake.

    Requests that can be repeated without harm are, with growing pauses, where the connection or the server fails.

    Raises:
      UserError: where the server cannot be reached, does not let the user in, or refuses or fails a request.
    """
    try:
        yield _client(settings)
    except urllib3.exceptions.HTTPError as error:
        reason = str(getattr(error, "reason", error)).rpartition("): ")[2]  # without the connection's description
        raise UserError(
            f"Kubeflow Pipelines at {settings.cluster.endpoint} does not answer ({reason}): check cluster.endpoint, and the "
            "port-forward or VPN that leads to it."
        ) from None
    except kfp_server_api.ApiException as error:
        raise UserError(_refusal(settings, error)) from None


def _client(settings: Settings) -> kfp.Client:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that servers before 2.0 are not served
        # What stands for no namespace there is the SDK's own default, with which it asks the server already here
        namespace = settings.cluster.namespace or "kubeflow"
        client = kfp.Client(settings.cluster.endpoint, namespace=namespace, existing_token=os.environ.get(TOKEN))
    client.runs.api_client.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(
        ATTEMPTS - 1,
        redirect=False,  # to a login page, whose answer would be read as an empty list
        status_forcelist=(500, 502, 503, 504),
        raise_on_status=False,
        backoff_factor=BACKOFF_SECONDS,
        retry_after_max=TIMEOUTS[1],
    )
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it would tell each attempt
    client.healthzs.healthz_service_get_healthz(_request_timeout=TIMEOUTS)
    return client


def _refusal(settings: Settings, error: kfp_server_api.ApiException) -> str:
    """Returns one sentence for an answer that is no success."""
    server = f"Kubeflow Pipelines at {settings.cluster.endpoint}"
    location = (error.headers or {}).get("Location")
    reason = f"{error.status}: {f'sent on to {location}' if location else _message(error)}"
    if location or error.status in (401, 403):
        cure = f"give a valid token in {TOKEN}, or ask for rights in the namespace {settings.cluster.namespace}"
        return f"{server} does not let you in ({reason}): {cure}."
    if error.status == 404:
        return f"{server} does not have what was asked for ({reason}): check cluster.endpoint."
    return f"{server} refused or failed the request ({reason})."


def _message(error: kfp_server_api.ApiException) -> str:
    """Returns what the server says of an error, in its own words where it has some."""
    try:
        body = json.loads(error.body)
        return (body.get("message") or body["error_message"]).splitlines()[0]
    except (TypeError, ValueError, AttributeError, LookupError):
        return str(error.reason)


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


def next_times(cron: str, zone: str, count: int) -> list[datetime]:
    """Returns when a schedule is next due. The server, which reads fewer forms than this, checks it once more.

    Args:
      cron: six fields, seconds first.
      zone: the time zone that it is read in.
      count: how many times.

    Raises:
      UserError: where it has not six fields, or no such time comes.
    """
    fields = len(cron.split())
    if fields != 6:  # of five, the server would take the first for seconds
        raise UserError(f"CRON = {cron!r} has {fields} fields; give six: {CRON}.")
    try:
        due = croniter(cron, datetime.now(ZoneInfo(zone)), ret_type=datetime, second_at_beginning=True)
        return [due.get_next() for _ in range(count)]
    except CroniterError:
        raise UserError(f"CRON = {cron!r} is no time that ever comes; give six fields: {CRON}.") from None


def upload(client: kfp.Client, settings: Settings, package: Path) -> kfp_server_api.V2beta1PipelineVersion:
    """Returns the version of the pipeline that a YAML is; it is uploaded where the server does not have it.

    Args:
      client: connected.
      settings: those it was compiled from.
      package: the YAML.
    """
    pipeline = _find_pipeline(client, settings) or client.pipelines.pipeline_service_create_pipeline(
        kfp_server_api.V2beta1Pipeline(display_name=settings.name, namespace=settings.cluster.namespace)
    )
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
    there = client.list_pipeline_versions(pipeline.pipeline_id, filter=_named("IS_SUBSTRING", digest)).pipeline_versions
    if there:
        return there[0]
    return client.upload_pipeline_version(str(package), f"{revision()}-{digest}", pipeline_id=pipeline.pipeline_id)


def run(client: kfp.Client, settings: Settings, package: Path, changes: dict[str, Any]) -> kfp_server_api.V2beta1Run:
    """Starts a run, and returns it.

    Args:
      client: connected.
      settings: those of the pipeline.
      package: the YAML compiled from them.
      changes: run parameters that are not to have their defaults.
    """
    version = upload(client, settings, package)
    return client.run_pipeline(
        experiment_id=_experiment(client, settings),
        job_name=f"{settings.name} {version.display_name}",
        params=changes,
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        service_account=settings.cluster.service_account,
    )


def schedule(client: kfp.Client, settings: Settings, package: Path, cron: str, changes: dict[str, Any]) -> None:
    """Runs the pipeline again and again, one run at a time, in place of the schedules that it has.

    Args:
      client: connected.
      settings: those of the pipeline.
      package: the YAML compiled from them.
      cron: when, as checked by `next_times`.
      changes: run parameters that are not to have their defaults.
    """
    version = upload(client, settings, package)
    older = _schedules(client, settings, version.pipeline_id)
    client.create_recurring_run(
        experiment_id=_experiment(client, settings),
        job_name=settings.name,
        cron_expression=cron,
        max_concurrency=1,
        no_catchup=True,
        params=changes,
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        service_account=settings.cluster.service_account,
    )
    _delete(client, older)  # last, so that a failure leaves one too many rather than none


def unschedule(client: kfp.Client, settings: Settings) -> int:
    """Removes all schedules of the pipeline, and returns how many; runs that are going on end as they would.

    Raises:
      UserError: where the server has no such pipeline.
    """
    schedules = _schedules(client, settings, _pipeline_id(client, settings))
    _delete(client, schedules)
    return len(schedules)


def status(client: kfp.Client, settings: Settings) -> None:
    """Prints the latest runs of the pipeline, and its schedule.

    Raises:
      UserError: where the server has no such pipeline, or no such experiment.
    """
    cluster, pipeline_id = settings.cluster, _pipeline_id(client, settings)
    named = client.list_experiments(filter=_named("EQUALS", cluster.experiment), namespace=cluster.namespace)
    if not named.experiments:
        raise UserError(f"There is no experiment {_place(settings, cluster.experiment)}: `make kubeflow-run` makes it.")
    experiment_id = named.experiments[0].experiment_id
    runs = _pages(client.list_runs, "runs", experiment_id=experiment_id, sort_by="created_at desc")
    latest = islice((one for one in runs if _is_of(one, pipeline_id)), LATEST_RUNS)
    _show_runs(settings, list(latest))
    _show_schedules(settings, _schedules(client, settings, pipeline_id))


def _show_runs(settings: Settings, runs: list[kfp_server_api.V2beta1Run]) -> None:
    zone = settings.cluster.time_zone
    console.line(f"Latest runs of {settings.name}, times in {zone}", style="bold")
    line = "{:36}  {:9}  {:19}  {:19}  {}"  # no table, which would cut ids to the width of the terminal
    console.line(line.format("run", "state", "created", "finished", "name"))
    for one in runs:
        times = _shown(one.created_at, zone), _shown(one.finished_at, zone)
        console.line(line.format(one.run_id, one.state or "", *times, one.display_name))


def _show_schedules(settings: Settings, schedules: list[kfp_server_api.V2beta1RecurringRun]) -> None:
    zone = settings.cluster.time_zone
    for one in schedules:
        cron = one.trigger.cron_schedule.cron if one.trigger.cron_schedule else ""
        due = _next(cron, zone) if one.status == "ENABLED" else "paused"
        console.line(f"Scheduled at {cron!r}, read in {zone}: {due} ({one.recurring_run_id}).")
    if not schedules:
        console.line("Not scheduled.")


def _next(cron: str, zone: str) -> str:
    try:
        return f"next {_shown(next_times(cron, zone, 1)[0], zone)}"
    except UserError:  # made by other means, in a form that is not ours
        return "next time not known"


def _shown(when: datetime | None, zone: str) -> str:
    """Returns a time to the second; the server gives 1970 where there is none."""
    return f"{when.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}" if when and when.timestamp() else ""


def _find_pipeline(client: kfp.Client, settings: Settings) -> kfp_server_api.V2beta1Pipeline | None:
    named = client.list_pipelines(filter=_named("EQUALS", settings.name), namespace=settings.cluster.namespace)
    return named.pipelines[0] if named.pipelines else None


def _pipeline_id(client: kfp.Client, settings: Settings) -> str:
    pipeline = _find_pipeline(client, settings)
    if not pipeline:
        raise UserError(f"There is no pipeline {_place(settings, settings.name)}: `make kubeflow-run` uploads it.")
    return pipeline.pipeline_id


def _place(settings: Settings, name: str) -> str:
    return f"{name!r} in the namespace {settings.cluster.namespace} of {settings.cluster.endpoint}"


def _experiment(client: kfp.Client, settings: Settings) -> str:
    """Returns the id of the experiment, which is made where it is missing."""
    return client.create_experiment(settings.cluster.experiment, namespace=settings.cluster.namespace).experiment_id


def _schedules(client: kfp.Client, settings: Settings, pipeline_id: str) -> list[kfp_server_api.V2beta1RecurringRun]:
    every = _pages(client.list_recurring_runs, "recurring_runs", namespace=settings.cluster.namespace)
    return [one for one in every if _is_of(one, pipeline_id)]


def _is_of(made: kfp_server_api.V2beta1Run | kfp_server_api.V2beta1RecurringRun, pipeline_id: str) -> bool:
    version = made.pipeline_version_reference
    return version is not None and version.pipeline_id == pipeline_id


def _delete(client: kfp.Client, schedules: list[kfp_server_api.V2beta1RecurringRun]) -> None:
    for one in schedules:
        try:
            client.delete_recurring_run(one.recurring_run_id)
        except kfp_server_api.ApiException as error:
            if error.status != 404:  # deleted by a request whose answer was lost
                raise


def _named(operation: str, name: str) -> str:
    return json.dumps({"predicates": [{"operation": operation, "key": "display_name", "stringValue": name}]})


def _pages(listed: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
    """Yields what the server lists, page by page."""
    token = ""
    while True:
        page = listed(page_token=token, page_size=PAGE, **arguments)
        yield from getattr(page, field) or []
        token = page.next_page_token
        if not token:
            return


def _compiled(settings: Settings, assignments: list[str]) -> tuple[Path, dict[str, Any]]:
    """Compiles the pipeline and checks the run parameters given."""
    console.quiet(settings.run.log_level)
    from kubeflow import compile as compiler  # imports TFX, which takes longer than all that the other commands do

    changes = checked(assignments, compiler.parameters(settings))
    package = PROJECT / "output" / "kubeflow" / f"{settings.name}.yaml"
    return compiler.compile_pipeline(settings, package), changes


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
    due = ", ".join(_shown(time, zone) for time in times)
    console.line(f"Scheduled {settings.name} at {arguments.cron!r}, read in {zone} (cluster.time_zone); next: {due}.")


def _unschedule(settings: Settings, _: argparse.Namespace) -> None:
    with connected(settings) as client:
        count = unschedule(client, settings)
    console.line(f"Removed {count} schedule{'' if count == 1 else 's'} of {settings.name}.")


def _status(settings: Settings, _: argparse.Namespace) -> None:
    with connected(settings) as client:
        status(client, settings)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m kubeflow.client", description="The DAG on Kubeflow Pipelines.")
    commands = parser.add_subparsers(required=True)
    for name, action in {"run": _run, "schedule": _schedule, "unschedule": _unschedule, "status": _status}.items():
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        if name == "schedule":
            command.add_argument("--cron", required=True, help=f"six fields: {CRON}")
        if name in ("run", "schedule"):
            command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a run parameter")
    return parser.parse_args()


def main() -> int:
    """Does what the command line asks, and returns the exit status."""
    arguments = _arguments()
    settings = configuration.load_or_exit(data_is_here=False)
    try:
        arguments.action(settings, arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
