"""Runs a stage of the DAG in a pod: `python -m kubeflow.run_stage STAGE --run ID [--decision FILE] [--set KEY VALUE …]`.

*prepare* is everything before the Trainer. If the Trainer's result is cached, it continues with everything after the
Trainer, so that no other pod and no accelerator is needed. It writes what follows to a file. *train* is the Trainer,
*release* is everything after it.

A stage runs its nodes in one process, one after the other, each as its own execution in the metadata store: a
restarted pod continues at the node where it stopped. While a stage works, it holds the lock of the pipeline's runs, and a
second run waits for it, at most as long as a pod may run. Only training never waits, because it would occupy an accelerator
meanwhile: if the lock is taken, it trains without it. That is safe, because everything that it writes has a unique name.
"""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from graftline.runs.stages import PREPARE, RELEASE, STAGES, TRAIN, TRAINER, stages
from graftline.settings.settings import Settings
from kubeflow import program

DONE = "done"  # prepare's decision if it has run everything; otherwise, it is TRAIN


def main() -> None:
    """Runs the stage; the exit status says how it ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--decision", type=Path, help="file to which prepare writes what follows")
    arguments = program.arguments(parser)
    with program.running(arguments, arguments.stage) as settings:
        decision = run(settings, arguments.stage, arguments.run)
    if arguments.decision:
        arguments.decision.parent.mkdir(parents=True, exist_ok=True)
        arguments.decision.write_text(decision)  # compared exactly, so without a newline


def run(settings: Settings, stage: str, run_id: str) -> str:
    """Runs a stage, and returns what follows: TRAIN or DONE.

    Args:
      settings: the pipeline's settings.
      stage: one of STAGES.
      run_id: the run's id.

    Raises:
      UserError: if another run does not end in time, or a node refuses its input; any other error propagates.
    """
    from graftline.runs import lock, runner

    compiled, tell = program.compiled(settings), program.telling(run_id)
    nodes = stages(runner.names(compiled))
    if stage == TRAIN:
        with _locked_if_free(settings):
            runner.run_nodes(settings, compiled, run_id, nodes[TRAIN], tell)
        return DONE
    with lock.held(settings, lock.RUN, 60 * settings.cluster.resources.minutes):
        if stage == PREPARE:
            runner.begin(settings)
            runner.run_nodes(settings, compiled, run_id, nodes[PREPARE], tell)
            if not runner.is_cached(settings, runner.named(settings, compiled, run_id), TRAINER, tell):
                return TRAIN
        runner.run_nodes(settings, compiled, run_id, nodes[RELEASE], tell)
    return DONE


@contextlib.contextmanager
def _locked_if_free(settings: Settings) -> Iterator[None]:
    from graftline.runs import lock

    with contextlib.ExitStack() as stack:
        with contextlib.suppress(lock.HeldError):
            stack.enter_context(lock.held(settings, lock.RUN))
        yield


if __name__ == "__main__":
    main()
