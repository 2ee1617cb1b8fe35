"""Runs the DAG node by node and reports progress: all of it on this machine, or parts of it in the pods of a cluster."""

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
QUICK = 1.0  # seconds: a node that took no longer, usually from the cache, left no memory worth freeing


class LocalRunner(LocalDagRunner):
    """TFX's local runner, with a line per node, and with time and memory recorded on each execution in the metadata store.

    Args:
      settings: the pipeline's settings; only one of its runs may go on at a time.
      ending: suffix for the id of a run that is part of another one.
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
          UserError: if another run is going on, or a node ended without its outputs. Errors of a node itself are passed on.
        """
        settings, run_id = self._settings, datetime.datetime.now().isoformat() + self._ending
        with lock.held(settings, lock.RUN, 60 * settings.run.wait_minutes):
            begin(settings)
            run_id = run_nodes(settings, pipeline, run_id, names(pipeline), console.told)
            pruning.prune(settings)
        return run_id


def begin(settings: Settings) -> None:
    """Prepares a run before its first node: checks its folders and its name, and removes what the cache may no longer serve.

    Raises:
      UserError: if a folder is not writable, or the pipeline's name belongs to another dataset.
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

    If another model goes into production after the candidate was judged, a run of its own judges the candidate again, and
    takes everything before that from the cache.

    Args:
      settings: the pipeline's settings.
      pipeline: the compiled DAG.
      run_id: the id of the run.
      chosen: ids of the nodes to run, in topological order; those upstream of them have run.
      tell: called when a node starts and ends, with its name, its state, seconds and peak memory.

    Returns:
      The id of the run that judged last.

    Raises:
      UserError: if a node ended without its outputs. Errors of the node itself are passed on.
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
      UserError: if there is no such node.
    """
    for node in pipeline.nodes:
        if node.pipeline_node.node_info.id == name:
            return node.pipeline_node
    raise UserError(f"There is no node {name!r}: choose one of {', '.join(names(pipeline))}.")


def named(settings: Settings, pipeline: pipeline_pb2.Pipeline, run_id: str) -> pipeline_pb2.Pipeline:
    """Returns a copy of a compiled pipeline with the id and the settings of a run.

    Nodes that run under the same id are one run in the metadata store, which keeps the settings with it.
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
    """Returns whether a node of a compiled pipeline has an executor; a node without one only looks something up."""
    deployment = runner_utils.extract_local_deployment_config(run)
    return runner_utils.extract_executor_spec(deployment, name) is not None


def is_cached(settings: Settings, run: pipeline_pb2.Pipeline, name: str, tell: Tell) -> bool:
    """Takes the outputs of a node from the cache, once those upstream of it have run, and returns whether that was possible.

    If not, the node's execution has begun, and `run_node` continues it, in this process or another one.

    Args:
      settings: the pipeline's settings.
      run: the compiled DAG, with the id of the run.
      name: the node's id.
      tell: called if it is cached, with its name, its state, seconds and peak memory.

    Raises:
      UserError: if its inputs are missing.
    """
    with Meter() as meter:
        # The beginning of `launch` in TFX 1.21: inputs, the execution, and the cache lookup
        prepared = _launcher(settings, run, node_of(run, name))._prepare_execution()
    if prepared.is_execution_needed:
        return False
    _finish(settings, name, prepared.execution_info.execution_id, meter, tell)
    return True


def run_node(settings: Settings, pipeline: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode, tell: Tell) -> None:
    """Runs one node of a run, once those upstream of it have run.

    Args:
      settings: the pipeline's settings.
      pipeline: the compiled DAG, with the id of the run.
      node: one of its nodes.
      tell: called when the node starts and ends, with its name, its state, seconds and peak memory.

    Raises:
      UserError: if the node ended without its outputs. Errors of the node itself are passed on, except the report's: nothing
        depends on the report, so its error is printed, and the run continues.
    """
    name = node.node_info.id
    tell(name, State.STARTED, 0, 0)
    with Meter() as meter, _alone(settings, name):
        try:
            execution = _launcher(settings, pipeline, node).launch()
        except KeyboardInterrupt:  # the next run resumes this execution
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
    """Keeps other pushes out during a push: those of runs that hold no lock, and rollbacks."""
    if name != store.PUSHED.node:
        return contextlib.nullcontext()
    return lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS)


def _finish(settings: Settings, name: str, execution_id: int, meter: Meter, tell: Tell) -> None:
    """Records what was measured of a node that has ended, and reports how it ended."""
    state = _record(settings, execution_id, meter)
    if state not in (store.COMPLETE, store.CACHED):
        tell(name, State.FAILED, meter.seconds(), meter.peak_bytes)
        raise UserError(f"{name} was skipped because its inputs are missing: delete its pipeline root and run again.")
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
    """Returns freed memory, which the C library holds back, to the system, so that the next node's peak is its own."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _mark_failed(settings: Settings, pipeline: pipeline_pb2.Pipeline, name: str) -> None:
    """Marks a node's execution as failed where TFX does not: if it failed in its driver, before its executor ran."""
    run_id = pipeline.runtime_spec.pipeline_run_id.field_value.string_value
    with store.opened(settings) as opened:
        found = [node.id for node in store.nodes(opened, run_id) if node.name == name]
        for execution in opened.get_executions_by_id(found):
            if execution.last_known_state in (store.NEW, store.RUNNING):
                execution.last_known_state = store.FAILED
                opened.put_executions([execution])


def _record(settings: Settings, execution_id: int, meter: Meter) -> int:
    """Records time, memory and a list of files on an execution; returns the execution's state."""
    with store.opened(settings) as opened:
        (execution,) = opened.get_executions_by_id([execution_id])
        if store.SECONDS not in execution.custom_properties:  # else it had ended before, and the pod was restarted
            execution.custom_properties[store.SECONDS].double_value = meter.seconds()
            # Not as a whole number: in MySQL, ML Metadata's column for those has 32 bits, too few for 2 GiB
            execution.custom_properties[store.PEAK_BYTES].double_value = meter.peak_bytes
            if execution.last_known_state == store.COMPLETE:
                store.note_files(opened, execution)
            opened.put_executions([execution])
    return execution.last_known_state
