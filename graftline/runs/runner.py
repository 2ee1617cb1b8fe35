"""Runs the DAG node by node, and tells what it is doing: all of it on this machine, parts of it in the pods of a cluster."""

import contextlib
import ctypes
import datetime
import gc
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.orchestration.portable.launcher import Launcher
from tfx.proto.orchestration import pipeline_pb2

from graftline.base import beam, console, stop
from graftline.base.errors import UserError
from graftline.base.states import State
from graftline.runs import binding, dag, lock, places, provisional, pruning, store
from graftline.runs.executors import OPERATORS
from graftline.runs.meter import Meter
from graftline.runs.stages import TRAINER
from graftline.serving.versions import OvertakenError
from graftline.settings.settings import Settings

Tell = Callable[[str, State, float, int], None]
QUICK = 1.0  # seconds: a node that took no longer, most often from the cache, left nothing worth looking for


class LocalRunner(LocalDagRunner):
    """TFX's local runner with a line a node, and time and memory kept on each execution in the metadata store.

    Args:
      settings: those of the pipeline, of which one run at a time goes on.
      ending: ends the id of a run that is part of another one.
    """

    def __init__(self, settings: Settings, ending: str = "") -> None:
        super().__init__()
        self._settings = settings
        self._ending = ending

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: Any = None) -> str:
        """Runs a compiled pipeline.

        Args:
          pipeline: the DAG, its nodes in topological order.
          run_options: accepted because TFX's runners take it; partial runs are not supported.

        Returns:
          The id of the run in the metadata store.

        Raises:
          UserError: where another run goes on, or a node ended without its outputs; any error of a node itself is passed on.
        """
        settings, run_id = self._settings, datetime.datetime.now().isoformat() + self._ending
        with lock.held(settings, lock.RUN, 60 * settings.run.wait_minutes):
            begin(settings)
            run_id = run_nodes(settings, pipeline, run_id, names(pipeline), console.told)
            pruning.prune(settings)
        return run_id


def begin(settings: Settings) -> None:
    """Does what comes before the first node of a run: sees whose name it is, and what the cache may no longer serve.

    Raises:
      UserError: where a folder cannot be written, or the pipeline's name belongs to another dataset.
    """
    places.check(settings)
    binding.bind(settings)
    with store.opened(settings) as opened:
        store.forget_outdated(opened, settings)


def names(pipeline: pipeline_pb2.Pipeline) -> list[str]:
    """Returns the ids of a pipeline's nodes, in topological order."""
    return [node.pipeline_node.node_info.id for node in pipeline.nodes]


def run_nodes(
    settings: Settings, pipeline: pipeline_pb2.Pipeline, run_id: str, chosen: Iterable[str], tell: Tell
) -> str:
    """Runs nodes of a run one after the other.

    Where another model went into production after the candidate was judged, the candidate is judged again, by a run of its
    own that takes from the cache all that came before.

    Args:
      settings: those of the pipeline.
      pipeline: the compiled DAG.
      run_id: the id of the run.
      chosen: ids of its nodes, in topological order; those upstream of them have run.
      tell: called as a node starts and ends, with its name, its state, seconds and peak memory.

    Returns:
      The id of the run that judged last.

    Raises:
      UserError: where a node ended without its outputs; any error of the node itself is passed on.
    """
    try:
        _run_nodes(settings, named(settings, pipeline, run_id), chosen, tell)
    except OvertakenError as error:
        console.line(f"{error} The candidate is judged again.")
    else:
        return run_id
    again, unforced = run_id + store.AGAIN, settings.run.model_copy(update={"force_retrain": False})
    settings = settings.model_copy(update={"run": unforced})
    _run_nodes(settings, named(settings, pipeline, again), names(pipeline), tell)
    return again


def _run_nodes(settings: Settings, run: pipeline_pb2.Pipeline, chosen: Iterable[str], tell: Tell) -> None:
    with beam.given(dag.beam_args(settings)):
        for name in chosen:
            stop.heed()
            run_node(settings, run, node_of(run, name), tell)


def node_of(pipeline: pipeline_pb2.Pipeline, name: str) -> pipeline_pb2.PipelineNode:
    """Returns a node of a compiled pipeline.

    Raises:
      UserError: where there is no such node.
    """
    for node in pipeline.nodes:
        if node.pipeline_node.node_info.id == name:
            return node.pipeline_node
    raise UserError(f"There is no node {name!r}: choose one of {', '.join(names(pipeline))}.")


def named(settings: Settings, pipeline: pipeline_pb2.Pipeline, run_id: str) -> pipeline_pb2.Pipeline:
    """Returns a compiled pipeline with the id of a run, and its settings.

    Nodes that run under one id are one run in the metadata store, which keeps the settings with it.
    """
    run = pipeline_pb2.Pipeline()
    run.CopyFrom(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(run, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    kept = settings.model_dump_json(exclude=store.SECRET)
    for node in run.nodes:
        if settings.run.force_retrain and node.pipeline_node.node_info.id == TRAINER:
            node.pipeline_node.execution_options.caching_options.enable_cache = False
        for context in node.pipeline_node.contexts.contexts:
            if context.type.name == store.RUN:
                context.properties[store.SETTINGS].field_value.string_value = kept
    return run


def executes(run: pipeline_pb2.Pipeline, name: str) -> bool:
    """Tells whether a node of a compiled pipeline has an executor; else it only looks something up."""
    deployment = runner_utils.extract_local_deployment_config(run)
    return runner_utils.extract_executor_spec(deployment, name) is not None


def is_cached(settings: Settings, run: pipeline_pb2.Pipeline, name: str, tell: Tell) -> bool:
    """Tells whether a node of a run, after those upstream of it, has its outputs from the cache, which it then gets.

    It has begun otherwise, and `run_node`, in this process or another one, goes on with it.

    Args:
      settings: those of the pipeline.
      run: the compiled DAG, with the id of the run.
      name: the node's id.
      tell: called where it is cached, with its name, its state, seconds and peak memory.

    Raises:
      UserError: where its inputs are missing.
    """
    with Meter() as meter:
        # What `launch` begins with, of TFX 1.21: inputs, the execution, and the look into the cache
        prepared = _launcher(settings, run, node_of(run, name))._prepare_execution()
    if prepared.is_execution_needed:
        return False
    _finish(settings, name, prepared.execution_info.execution_id, meter, tell)
    return True


def run_node(settings: Settings, pipeline: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode, tell: Tell) -> None:
    """Runs one node of a run, after those upstream of it.

    Args:
      settings: those of the pipeline.
      pipeline: the compiled DAG, with the id of the run.
      node: one of its nodes.
      tell: called as the node starts and ends, with its name, its state, seconds and peak memory.

    Raises:
      UserError: where the node ended without its outputs; any error of the node itself is passed on, but for the report's:
        nothing depends on it, so that is printed, and the run goes on.
    """
    name = node.node_info.id
    tell(name, State.STARTED, 0, 0)
    with Meter() as meter, _alone(settings, name):
        try:
            execution = _launcher(settings, pipeline, node).launch()
        except KeyboardInterrupt:  # the next run goes on within this execution
            tell(name, State.FAILED, meter.seconds(), meter.peak_bytes)
            raise
        except Exception as error:
            tell(name, State.FAILED, meter.seconds(), meter.peak_bytes)
            if stop.asked():
                raise KeyboardInterrupt from error
            _mark_failed(settings, pipeline, name)
            if name != store.REPORT.node:
                raise
            traceback.print_exc()
            return
    if meter.seconds() > QUICK:
        _give_back_memory()
    _finish(settings, name, execution.execution_id, meter, tell)
    if name == store.REVIEW.node and provisional.keep(settings.schema_path):
        console.line(f"{settings.schema_path} is kept: the photos of later runs are checked against it.")


def _alone(settings: Settings, name: str) -> contextlib.AbstractContextManager[None]:
    """Keeps other pushes out while one goes on: those of runs that hold no lock, and a rollback."""
    if name != store.PUSHED.node:
        return contextlib.nullcontext()
    return lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS)


def _finish(settings: Settings, name: str, execution_id: int, meter: Meter, tell: Tell) -> None:
    """Keeps what was measured of a node that has ended, and tells how it did."""
    state = _record(settings, execution_id, meter)
    if state not in (store.COMPLETE, store.CACHED):
        tell(name, State.FAILED, meter.seconds(), meter.peak_bytes)
        raise UserError(f"{name} did not run, for its inputs are missing: delete its pipeline root and run again.")
    tell(name, store.STATES[state], meter.seconds(), meter.peak_bytes)


def _launcher(settings: Settings, pipeline: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode) -> Launcher:
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    return Launcher(
        pipeline_node=node,
        mlmd_connection=metadata.Metadata(store.connection(settings)),
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, node.node_info.id),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, node.node_info.id),
        custom_executor_operators=OPERATORS,
    )


def _give_back_memory() -> None:
    """Returns freed memory, which the C library keeps, to the system, so that the next node's peak is its own."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _mark_failed(settings: Settings, pipeline: pipeline_pb2.Pipeline, name: str) -> None:
    """Says so of the node's execution where TFX does not: when it failed before its executor ran, in its driver."""
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    with store.opened(settings) as opened:
        found = [node.id for node in store.nodes(opened, run_id) if node.name == name]
        for execution in opened.get_executions_by_id(found):
            if execution.last_known_state in (store.NEW, store.RUNNING):
                execution.last_known_state = store.FAILED
                opened.put_executions([execution])


def _record(settings: Settings, execution_id: int, meter: Meter) -> int:
    """Keeps time, memory and a list of files on the execution, where others find them; returns the execution's state."""
    with store.opened(settings) as opened:
        (execution,) = opened.get_executions_by_id([execution_id])
        if store.SECONDS not in execution.custom_properties:  # or it had ended, and the pod was started again
            execution.custom_properties[store.SECONDS].double_value = meter.seconds()
            # Not as a whole number: ML Metadata's column for those has 32 bits in MySQL, and 2 GiB are too many
            execution.custom_properties[store.PEAK_BYTES].double_value = meter.peak_bytes
            if execution.last_known_state == store.COMPLETE:
                store.note_files(opened, execution)
            opened.put_executions([execution])
    return execution.last_known_state
