"""What the programs of a pod have in common: their arguments and settings, the DAG, and how they tell what happens.

What happens is told on standard output, a line of JSON each: run, node, event, seconds, and where it failed the reason.
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
    """Gives the settings of this pod; a mistake of the user's ends the program, told as an event too.

    Args:
      given: what `arguments` returned.
      name: of the node or the stage that is run.
    """
    settings = changed(given.set)
    try:
        yield settings
    except UserError as error:
        tell(given.run, name, "refused", reason=str(error))
        sys.exit(str(error))


def changed(changes: list[list[str]]) -> Settings:
    """Returns the settings of this pod, with the run's parameters in them.

    Args:
      changes: keys, such as `training.phase_1.epochs`, and values.
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
    """Returns what tells of the nodes of a run."""
    return lambda node, event, *figures: tell(run_id, node, event, *figures)


def tell(run_id: str, node: str, event: str, seconds: float = 0, peak_bytes: int = 0, **more: Any) -> None:
    """Prints what happened as a line of JSON."""
    facts = {"run": run_id, "node": node, "event": event, "seconds": round(seconds, 1), "peak_bytes": peak_bytes}
    print(json.dumps(facts | more), flush=True)
