"""Shared by the programs in pods: their arguments and settings, the DAG, and how they report events.

Each event is one line of JSON on standard output: run, node, event, seconds, and the reason if it failed.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graftline.base import console
from graftline.base.errors import UserError
from graftline.base.paths import PREFIX
from graftline.settings.load import load_or_exit
from graftline.settings.settings import Settings

if TYPE_CHECKING:
    from tfx.proto.orchestration import pipeline_pb2

    from graftline.runs.runner import Tell


def arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Returns the command line of a program that runs nodes: the parser's own arguments, the run's id and its parameters."""
    parser.add_argument("--run", required=True, help="id of the run, the same for all its nodes")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="a setting")
    return parser.parse_args()


@contextlib.contextmanager
def running(given: argparse.Namespace, name: str) -> Iterator[Settings]:
    """Yields this pod's settings; a UserError ends the program and is also reported as an event.

    Args:
      given: what `arguments` returned.
      name: the name of the node or stage.
    """
    settings = changed(given.set)
    try:
        yield settings
    except UserError as error:
        tell(given.run, name, "refused", reason=str(error))
        sys.exit(str(error))


def changed(changes: list[list[str]]) -> Settings:
    """Returns this pod's settings, changed by the run's parameters.

    Args:
      changes: pairs of a key, such as `training.phase_1.epochs`, and its value.
    """
    for key, value in changes:
        os.environ[PREFIX + key.upper().replace(".", "__")] = value
    settings = load_or_exit()
    console.quiet(settings.run.log_level)
    return settings


def compiled(settings: Settings) -> "pipeline_pb2.Pipeline":
    """Returns the DAG as TFX compiles it."""
    from tfx.dsl.compiler.compiler import Compiler

    from pipeline import create_pipeline

    return Compiler().compile(create_pipeline(settings))


def telling(run_id: str) -> "Tell":
    """Returns a function that reports the events of a run's nodes."""
    return lambda node, event, *figures: tell(run_id, node, event, *figures)


def tell(run_id: str, node: str, event: str, seconds: float = 0, peak_bytes: int = 0, **more: Any) -> None:
    """Prints an event as a line of JSON."""
    facts = {"run": run_id, "node": node, "event": event, "seconds": round(seconds, 1), "peak_bytes": peak_bytes}
    print(json.dumps(facts | more), flush=True)
