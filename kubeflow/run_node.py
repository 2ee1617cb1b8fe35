"""Runs one node of the DAG in a pod: `python -m kubeflow.run_node NODE --run ID [--set KEY VALUE …]`.

The node comes from `create_pipeline(settings)`, as everywhere else, and TFX's launcher runs it. Pods with the same run id
belong to one run in the metadata store, so a restarted pod continues its execution instead of starting a second one. The
program never receives SIGTERM: it kills Kubeflow's launcher, the pod's first process, at once, and all other processes die
with it. That costs at most `training.checkpoint_minutes` of training.
"""

import argparse

from graftline.settings.settings import Settings
from kubeflow import program


def main() -> None:
    """Runs the node; the exit status says how it ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("node", help="the node's id in the DAG, such as Trainer")
    arguments = program.arguments(parser)
    with program.running(arguments, arguments.node) as settings:
        run(settings, arguments.node, arguments.run)


def run(settings: Settings, name: str, run_id: str) -> None:
    """Runs one node.

    Args:
      settings: the pipeline's settings.
      name: the node's id.
      run_id: the run's id.

    Raises:
      UserError: if there is no such node, or it refuses its input; any other error in the node propagates.
    """
    from graftline.runs import runner

    compiled = program.compiled(settings)
    if not runner.node_of(compiled, name).upstream_nodes:
        runner.begin(settings)
    runner.run_nodes(settings, compiled, run_id, [name], program.telling(run_id))


if __name__ == "__main__":
    main()
