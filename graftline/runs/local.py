"""Runs a DAG on this machine, and tells what became of it."""

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
    """Returns whether an error, or what caused it, is that a disk is full; Beam and TensorFlow wrap it in their own."""
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
      settings: those of the run.
      create_pipeline: gives the whole DAG.
      reading: gives the nodes of it that read the dataset and count, from which a schema is inferred.

    Raises:
      UserError: where it holds what only a cluster can run, a folder cannot be written, or a node refuses its input.
    """
    if settings.serving.tensorflow_serving:
        raise UserError(
            f"serving.tensorflow_serving = {settings.serving.tensorflow_serving!r}: TensorFlow Serving is started on a "
            "cluster alone; leave it unset to check the model in a process on this machine."
        )
    from graftline.runs import summary
    from graftline.runs.runner import LocalRunner

    places.check(settings)
    chosen.remember(settings.run.root)
    if provisional.is_due(settings):
        from graftline.runs.infer_schema import infer_schema

        binding.bind(settings)  # before another dataset's schema is taken for this one's
        infer_schema(settings, reading(settings))
    run_id = LocalRunner(settings).run(create_pipeline(settings))
    if run_id is None:  # `tfx pipeline create` only looks at the DAG
        return
    summary.show(summary.read(settings, run_id))


def program(settings: Settings, create_pipeline: Dag, reading: Nodes) -> int:
    """Runs a pipeline as `main` does, tells what stopped it, and returns the exit status; arguments as of `main`."""
    stop.stop_when_asked()
    try:
        main(settings, create_pipeline, reading)
    except (Exception, KeyboardInterrupt) as error:
        status, told = _ended(settings, error)
        print(told, file=sys.stderr)
        return status
    return 0


def _ended(settings: Settings, error: BaseException) -> tuple[int, str]:
    """Returns the exit status for what stopped a run, and what is told of it; raises it again where it is nobody's fault."""
    if isinstance(error, KeyboardInterrupt) or stop.asked():
        return stop.STATUS, stop.STOPPED
    if isinstance(error, UserError):
        return 1, str(error)
    if disk_is_full(error):
        free, folder = fullest(settings)
        return 1, (
            f"No space is left on the disk of {folder} ({free / 1e6:.1f} MB are free): free some and run again; what was "
            "finished is kept."
        )
    raise error
