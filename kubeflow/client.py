"""Connects to a Kubeflow Pipelines server, uploads versions of the compiled DAG, and starts runs of it.

The server is the one at `cluster.endpoint`. Its token comes from the environment variable KF_PIPELINES_TOKEN. If that is
not set, the KFP SDK's own methods apply: the cookie or header in ~/.config/kfp/context.json, and the clients of an
Identity-Aware Proxy in KF_PIPELINES_IAP_OAUTH2_CLIENT_ID and related variables. If KF_PIPELINES_UI_ENDPOINT is set, the
printed links point there.

The first run uploads the pipeline; later runs upload new versions of it. A version is named after the git revision and a
digest of the YAML; a version that the server already has is reused.
"""

import contextlib
import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kfp
import kfp_server_api
import urllib3

from graftline.base.code import revision
from graftline.base.errors import UserError
from graftline.settings.settings import Settings

TOKEN = "KF_PIPELINES_TOKEN"
ATTEMPTS, BACKOFF_SECONDS = 4, 0.5
TIMEOUTS = 5, 15  # seconds to connect to the server, and to its first response
PAGE = 100  # items per page


@contextlib.contextmanager
def connected(settings: Settings) -> Iterator[kfp.Client]:
    """Connects to the server; its errors inside the block are raised as UserError.

    If the connection or the server fails, requests that are safe to repeat are retried with growing pauses.

    Raises:
      UserError: if the server cannot be reached, denies access, or refuses or fails a request.
    """
    try:
        yield _client(settings)
    except urllib3.exceptions.HTTPError as error:
        last = getattr(error, "reason", error)  # of the last attempt
        raise UserError(
            f"Kubeflow Pipelines at {settings.cluster.endpoint} does not answer ({last.__cause__ or last}): check "
            "cluster.endpoint, and the port-forward or VPN that leads to it."
        ) from None
    except kfp_server_api.ApiException as error:
        raise UserError(_refusal(settings, error)) from None


class _PatientClient(kfp.Client):
    """A KFP client that retries requests that are safe to repeat."""

    def _load_config(self, *arguments: Any, **options: Any) -> Any:
        config = super()._load_config(*arguments, **options)
        config.retries = urllib3.Retry(
            ATTEMPTS - 1,
            redirect=False,  # it leads to a login page, which would be read as an empty list
            status_forcelist=(500, 502, 503, 504),
            raise_on_status=False,
            backoff_factor=BACKOFF_SECONDS,
            retry_after_max=TIMEOUTS[1],
        )
        return config


def _client(settings: Settings) -> kfp.Client:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # says that servers before 2.0 are not supported
        # The SDK defaults to no namespace, and its constructor already sends the namespace to the server
        namespace = settings.cluster.namespace or "kubeflow"
        client = _PatientClient(settings.cluster.endpoint, namespace=namespace, existing_token=os.environ.get(TOKEN))
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it would log each attempt
    client.healthzs.healthz_service_get_healthz(_request_timeout=TIMEOUTS)
    return client


def _refusal(settings: Settings, error: kfp_server_api.ApiException) -> str:
    """Returns one sentence about a response that is not a success."""
    server = f"Kubeflow Pipelines at {settings.cluster.endpoint}"
    location = (error.headers or {}).get("Location")
    reason = f"{error.status}: {f'redirected to {location}' if location else _message(error)}"
    if location or error.status in (401, 403):
        cure = f"set {TOKEN} to a valid token, or ask for access to the namespace {settings.cluster.namespace}"
        return f"{server} denied access ({reason}): {cure}."
    if error.status == 404:
        return f"{server} did not find the requested resource ({reason}): check cluster.endpoint."
    return f"{server} refused or could not complete the request ({reason})."


def _message(error: kfp_server_api.ApiException) -> str:
    """Returns the server's own message about an error, or the HTTP reason if it has none."""
    try:
        body = json.loads(error.body)
        return (body.get("message") or body["error_message"]).splitlines()[0]
    except (TypeError, ValueError, AttributeError, LookupError):
        return str(error.reason)


def upload(client: kfp.Client, settings: Settings, package: Path) -> kfp_server_api.V2beta1PipelineVersion:
    """Returns the pipeline version of a YAML file, and uploads it if the server does not have it.

    Args:
      client: a connected client.
      settings: the settings that the YAML was compiled from.
      package: the YAML file.
    """
    pipeline = find_pipeline(client, settings) or client.pipelines.pipeline_service_create_pipeline(
        kfp_server_api.V2beta1Pipeline(display_name=settings.name, namespace=settings.cluster.namespace)
    )
    digest = hashlib.sha256(package.read_bytes()).hexdigest()[:12]
    of_yaml = where("display_name", digest, "IS_SUBSTRING")
    there = client.list_pipeline_versions(pipeline.pipeline_id, filter=of_yaml).pipeline_versions
    if there:
        return there[0]
    return client.upload_pipeline_version(str(package), f"{revision()}-{digest}", pipeline_id=pipeline.pipeline_id)


def run(client: kfp.Client, settings: Settings, package: Path, changes: dict[str, Any]) -> kfp_server_api.V2beta1Run:
    """Starts a run and returns it.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      package: the YAML file compiled from them.
      changes: run parameters that differ from their defaults.
    """
    version = upload(client, settings, package)
    return client.run_pipeline(
        experiment_id=experiment(client, settings),
        job_name=f"{settings.name} {version.display_name}",
        params=changes,
        pipeline_id=version.pipeline_id,
        version_id=version.pipeline_version_id,
        service_account=settings.cluster.service_account,
    )


def find_pipeline(client: kfp.Client, settings: Settings) -> kfp_server_api.V2beta1Pipeline | None:
    """Returns the pipeline as the server has it; None if it was never uploaded."""
    named = client.list_pipelines(filter=where("display_name", settings.name), namespace=settings.cluster.namespace)
    return named.pipelines[0] if named.pipelines else None


def find_pipeline_id(client: kfp.Client, settings: Settings) -> str:
    """Returns the id of the pipeline.

    Raises:
      UserError: if the server does not have it.
    """
    pipeline = find_pipeline(client, settings)
    if not pipeline:
        raise UserError(f"There is no pipeline {place(settings, settings.name)}: `graftline kubeflow run` uploads it.")
    return pipeline.pipeline_id


def place(settings: Settings, name: str) -> str:
    """Returns a name with its namespace and server, for messages."""
    return f"{name!r} in the namespace {settings.cluster.namespace} of {settings.cluster.endpoint}"


def experiment(client: kfp.Client, settings: Settings) -> str:
    """Returns the id of the experiment, and creates it if it is missing."""
    return client.create_experiment(settings.cluster.experiment, namespace=settings.cluster.namespace).experiment_id


def is_of(made: kfp_server_api.V2beta1Run | kfp_server_api.V2beta1RecurringRun, pipeline_id: str) -> bool:
    """Returns whether a run or a schedule belongs to a pipeline."""
    version = made.pipeline_version_reference
    return version is not None and version.pipeline_id == pipeline_id


def where(key: str, value: str, operation: str = "EQUALS") -> str:
    """Returns a filter that limits a list to the items with this value."""
    return json.dumps({"predicates": [{"operation": operation, "key": key, "stringValue": value}]})


def pages(listed: Callable[..., Any], field: str, **arguments: Any) -> Iterator[Any]:
    """Yields the items that the server lists, page by page."""
    token = ""
    while True:
        page = listed(page_token=token, page_size=PAGE, **arguments)
        yield from getattr(page, field) or []
        token = page.next_page_token
        if not token:
            return
