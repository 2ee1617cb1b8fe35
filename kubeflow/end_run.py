"""Reports how a run ended: `python -m kubeflow.end_run --run ID`, the exit handler of a compiled pipeline.

It prints what the metadata store knows about the run, and posts it as JSON to `cluster.webhook` if that is set:
chat apps show its `text`.
"""

import argparse
import contextlib
import logging
import sys
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from graftline.settings.settings import Settings
from kubeflow import program

PATIENCE = Retry(total=5, backoff_factor=1, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=None)
TIMEOUT = 10  # seconds
NAME = "EndRun"


def main() -> None:
    """Reports the end; an unreachable webhook does not fail the run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="id of the run")
    arguments = parser.parse_args()
    settings = program.changed([])  # without the run's parameters, which may have made it fail
    end = report(settings, arguments.run)
    program.tell(arguments.run, NAME, "ended", **end)
    if settings.cluster.webhook:
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it would log the address at each attempt
        try:
            post(settings.cluster.webhook.get_secret_value(), end)
        except requests.RequestException as error:
            print(f"EndRun could not report the end of the run to cluster.webhook: {_reason(error)}.", file=sys.stderr)


def report(settings: Settings, run_id: str) -> dict[str, Any]:
    """Returns what is known about a run, finished or not, and deletes what need not be kept.

    Args:
      settings: the pipeline's settings.
      run_id: the run's id.
    """
    from graftline.artifacts import evaluation, verdict
    from graftline.runs import lock, pruning, store, summary

    nodes = summary.read(settings, run_id)
    with contextlib.suppress(lock.HeldError), lock.held(settings, lock.RUN):  # otherwise the holder prunes when it ends
        pruning.prune(settings)
    evaluated = store.made(nodes, store.EVALUATION)
    return {
        "text": f"{settings.name}: {summary.outcome(nodes)}",
        "pipeline": settings.name,
        "run": run_id,
        "test_accuracy": evaluation.accuracies(evaluation.predictions(evaluated.uri)) if evaluated else {},
        "not_blessed_because": verdict.read(evaluated.uri).reasons if evaluated else [],
        "components": [{"name": node.name, "state": node.state, "seconds": round(node.seconds, 1)} for node in nodes],
    }


def _reason(error: requests.RequestException) -> str:
    """Returns what went wrong, without the address, which may be secret and which the error's own text contains."""
    refused = error.response is not None
    return f"it answered {error.response.status_code}" if refused else f"it did not answer ({type(error).__name__})"


def post(url: str, body: dict[str, Any]) -> None:
    """Posts JSON, with retries.

    Args:
      url: the address.
      body: the content.

    Raises:
      requests.RequestException: if the server does not accept it.
    """
    with requests.Session() as session:
        session.mount(url, HTTPAdapter(max_retries=PATIENCE))
        session.post(url, json=body, timeout=TIMEOUT).raise_for_status()


if __name__ == "__main__":
    main()
