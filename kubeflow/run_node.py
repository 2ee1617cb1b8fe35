"""Runs one node of the DAG in a pod: `python -m kubeflow.run_node NODE --run ID [--set KEY VALUE …]`.

The node is taken from `create_pipeline(settings)`, as everywhere, and run by TFX's launcher. Runs of one id are one run in
the metadata store, so a pod that is started again goes on with its execution instead of making a second one. No signal asks
it to end: Kubeflow's launcher, the first process of the pod, dies of SIGTERM at once, and all others with it. What that can
cost is `training.checkpoint_minutes` of training.

What happens is told on standard output, a line of JSON each: run, node, event, seconds, and where it failed the reason.
"""

import argparse
import json
import os
import sys
from typing import Any

from graftline.base import console
from graftline.base.errors import UserError
from graftline.base.paths import PREFIX
from graftline.settings.load import load_or_exit
from graftline.settings.settings import Settings


def main() -> None:
    """Runs the node; its exit status tells how it ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node", help="its id in the DAG, such as Trainer")
    parser.add_argument("--run", required=True, help="id of the run, the same for all its nodes")
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help="a setting")
    arguments = parser.parse_args()
    settings = changed(arguments.set)
    try:
        run(settings, arguments.node, arguments.run)
    except UserError as error:
        tell(arguments.run, arguments.node, "refused", reason=str(error))
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


def run(settings: Settings, name: str, run_id: str) -> None:
    """Runs one node.

    Args:
      settings: those of the pipeline.
      name: the node's id.
      run_id: the run's id.

    Raises:
      UserError: where there is no such node, or it refuses its input; any other error of the node is passed on.
    """
    from tfx.dsl.compiler.compiler import Compiler

    from graftline.runs import runner, store
    from pipeline import create_pipeline

    compiled = Compiler().compile(create_pipeline(settings))
    nodes = {node.pipeline_node.node_info.id: node.pipeline_node for node in compiled.nodes}
    if name not in nodes:
        raise UserError(f"There is no node {name!r}: choose one of {', '.join(nodes)}.")
    runner.name_run(settings, compiled, run_id)
    if not nodes[name].upstream_nodes:
        with store.opened(settings) as opened:
            store.forget_damaged(opened)
    runner.run_node(settings, compiled, nodes[name], lambda node, event, *figures: tell(run_id, node, event, *figures))


def tell(run_id: str, node: str, event: str, seconds: float = 0, peak_bytes: int = 0, **more: Any) -> None:
    """Prints what happened as a line of JSON."""
    facts = {"run": run_id, "node": node, "event": event, "seconds": round(seconds, 1), "peak_bytes": peak_bytes}
    print(json.dumps(facts | more), flush=True)


if __name__ == "__main__":
    main()
