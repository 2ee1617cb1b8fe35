"""Prints the report of a run as a tar, in a pod: `python -m kubeflow.visits.send_report RUN`, an id or `latest`."""

import argparse
import sys
import tarfile
from pathlib import Path
from typing import IO

from graftline.base import console
from graftline.base.errors import UserError, short
from graftline.runs import history, store
from graftline.runs.store import Run
from graftline.settings.load import load_or_exit
from graftline.settings.settings import Settings


def send(settings: Settings, run_id: str, stream: IO[bytes]) -> None:
    """Writes the page of a report and the model card to a tar, in a folder named after the run.

    Args:
      settings: the pipeline's settings.
      run_id: the run's id, or `latest`.
      stream: receives the tar.

    Raises:
      UserError: if there is no such run, or it has no report.
    """
    run, page = find(settings, run_id)
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for path in [page, *history.cards(run)]:
            archive.add(path, f"{run.id}/{path.name}")


def find(settings: Settings, run_id: str) -> tuple[Run, Path]:
    """Returns a run and the page of its report.

    Args:
      settings: the pipeline's settings.
      run_id: the run's id, or `latest`.

    Raises:
      UserError: as for `send`.
    """
    runs = _runs(settings)
    if not runs:
        raise UserError(
            f"There is no run of {settings.name} in the metadata store: `graftline kubeflow run` starts one."
        )
    named = {run.id: run for run in runs} | {history.LATEST: runs[-1]}
    if run_id not in named:
        raise UserError(f"There is no run {run_id!r} of {settings.name}: `graftline kubeflow status` lists the runs.")
    run = named[run_id]
    page = history.report(run)
    if page is None:
        others = [other.id for other in reversed(runs) if history.report(other)]
        hint = f"fetch the latest one with `graftline kubeflow report {others[0]}`" if others else "wait until it ends"
        raise UserError(f"Run {run.id} has no report ({history.state(run, True)}): {hint}.")
    return run, page


def _runs(settings: Settings) -> list[Run]:
    try:
        with store.opened(settings) as opened:
            return store.runs(opened, settings.name)
    except RuntimeError as error:
        raise UserError(
            f"The metadata store does not answer ({short(error)}): check its pod and cluster.mysql."
        ) from None


def main() -> int:
    """Sends the report, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="id of the run, or latest")
    given = parser.parse_args()
    settings = load_or_exit(data_is_here=False)
    console.quiet(settings.run.log_level)
    try:
        send(settings, given.run, sys.stdout.buffer)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
