"""Runs a stage of the DAG in a pod: `python -m kubeflow.run_stage STAGE --run ID [--decision FILE] [--set KEY VALUE …]`.

*prepare* is everything before the Trainer. Where the Trainer's result is in the cache it goes on with what comes after, so
that no other pod is needed, and no accelerator. What is to follow it writes to a file. *train* is the Trainer, *release*
everything after it.

A stage runs its nodes in one process, one after the other, each as an execution of its own in the metadata store: a pod that
is started again goes on at the node where it stopped. While it works it holds the lock of the pipeline's runs, and who comes
second waits for as long as a pod may work. Only training never waits, for it would hold an accelerator meanwhile: where the
lock is taken it goes on without, and can, because whatever it writes has a name of its own.
"""

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path

from graftline.runs.stages import PREPARE, RELEASE, STAGES, TRAIN, TRAINER, stages
from graftline.settings.settings import Settings
from kubeflow import program

DONE = "done"  # what prepare decides where it has run everything; TRAIN where it has not


def main() -> None:
    """Runs the stage; its exit status tells how it ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--decision", type=Path, help="where prepare writes what is to follow")
    arguments = program.arguments(parser)
    with program.running(arguments, arguments.stage) as settings:
        decision = run(settings, arguments.stage, arguments.run)
    if arguments.decision:
        arguments.decision.parent.mkdir(parents=True, exist_ok=True)
        arguments.decision.write_text(decision)  # compared to the letter, so without a line's end


def run(settings: Settings, stage: str, run_id: str) -> str:
    """Runs a stage, and returns what is to follow: TRAIN or DONE.

    Args:
      settings: those of the pipeline.
      stage: one of STAGES.
      run_id: the run's id.

    Raises:
      UserError: where another run does not end in time, or a node refuses its input; any other error is passed on.
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
