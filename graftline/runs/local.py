"""Runs a DAG on this machine and reports how it ended."""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline

from graftline.base import stop
from graftline.base.errors import UserError
from graftline.runs import binding, places, provisional
from graftline.settings import chosen
from graftline.settings.settings import Settings
from graftline.sources.folder import listed_once

Dag = Callable[[Settings], Pipeline]
Nodes = Callable[[Settings], Iterable[BaseNode]]


def disk_is_full(error: BaseException | None) -> bool:
    """Returns whether an error, or its cause, is a full disk; Beam and TensorFlow wrap that in errors of their own."""
    while error is not None:
        if os.strerror(errno.ENOSPC) in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def fullest(settings: Settings) -> tuple[int, Path]:
    """Returns the free bytes of the fullest disk that a run writes to, and the run's folder on it."""
    folders = [
        folder for folder in (settings.run.root, settings.run.serving_dir, settings.data.data_dir) if folder.exists()
    ]
    return min((shutil.disk_usage(folder).free, folder) for folder in folders)


@listed_once()
def main(settings: Settings, create_pipeline: Dag, reading: Nodes) -> None:
    """Runs a pipeline on this machine and prints the summary.

    Args:
      settings: the run's settings.
      create_pipeline: builds the whole DAG.
      reading: builds its nodes that read the dataset and compute the statistics, from which a schema is inferred.

    Raises:
      UserError: if the settings need a cluster, a folder is not writable, or a node refuses its input.
    """
    if settings.serving.tensorflow_serving:
        raise UserError(
            f"serving.tensorflow_serving = {settings.serving.tensorflow_serving!r}: TensorFlow Serving only runs on a "
            "cluster; leave it unset to check the model in a process on this machine."
        )
    from graftline.runs import summary
    from graftline.runs.runner import LocalRunner

    places.check(settings)
    chosen.remember(settings.run.root)
    if provisional.is_due(settings):
        from graftline.runs.infer_schema import infer_schema

        binding.bind(settings)  # first, so that the name has no other dataset's schema
        infer_schema(settings, reading(settings))
    run_id = LocalRunner(settings).run(create_pipeline(settings))
    if run_id is None:  # `tfx pipeline create` only looks at the DAG
        return
    summary.show(summary.read(settings, run_id))


def program(settings: Settings, create_pipeline: Dag, reading: Nodes) -> int:
    """Runs a pipeline as `main` does, with its arguments, prints what stopped it, and returns the exit status."""
    stop.stop_when_asked()
    try:
        main(settings, create_pipeline, reading)
    except (Exception, KeyboardInterrupt) as error:
        status, told = _ended(settings, error)
        print(told, file=sys.stderr)
        return status
    return 0


def _ended(settings: Settings, error: BaseException) -> tuple[int, str]:
    """Returns the exit status and the message for what stopped a run; raises an error again if it is a bug."""
    if isinstance(error, KeyboardInterrupt) or stop.asked():
        return stop.STATUS, stop.STOPPED
    if isinstance(error, UserError):
        return 1, str(error)
    if disk_is_full(error):
        free, folder = fullest(settings)
        return 1, (
            f"No space is left on the disk of {folder} ({free / 1e6:.1f} MB free): free some space and run again; finished "
            "results are kept."
        )
    raise error
