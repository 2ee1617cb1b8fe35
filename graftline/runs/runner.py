"""Runs the DAG on this machine, node by node, and shows what it is doing; pods of a cluster run one node each by it."""

import ctypes
import datetime
import gc
import sys
from collections.abc import Callable
from typing import Any

from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.orchestration.portable.launcher import Launcher
from tfx.proto.orchestration import pipeline_pb2

from graftline.base import console, stop
from graftline.base.errors import UserError
from graftline.base.states import State
from graftline.runs import lock, store
from graftline.runs.meter import Meter
from graftline.settings.settings import Settings

TRAINER = "Trainer"

Tell = Callable[[str, State, float, int], None]


class LocalRunner(LocalDagRunner):
    """TFX's local runner with a line a node, and time and memory kept on each execution in the metadata store.

    Args:
      settings: those of the pipeline; one run at a time uses the folder `run.root`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: Any = None) -> str:
        """Runs a compiled pipeline.

        Args:
          pipeline: the DAG, its nodes in topological order.
          run_options: accepted because TFX's runners take it; partial runs are not supported.

        Returns:
          The id of the run in the metadata store.

        Raises:
          UserError: where another run uses the folder, or a node ended without its outputs; any error of a node itself is
            passed on.
        """
        run_id = datetime.datetime.now().isoformat()
        name_run(self._settings, pipeline, run_id)
        with lock.alone(self._settings.run.root):
            with store.opened(self._settings) as opened:
                store.forget_damaged(opened)
            for node in pipeline.nodes:
                stop.heed()
                run_node(self._settings, pipeline, node.pipeline_node, console.told)
        return run_id


def name_run(settings: Settings, pipeline: pipeline_pb2.Pipeline, run_id: str) -> None:
    """Writes the id of a run, and its settings, into a compiled pipeline.

    Nodes that run under one id are one run in the metadata store, which keeps the settings with it.
    """
    runtime_parameter_utils.substitute_runtime_parameter(pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})
    kept = settings.model_dump_json(exclude=store.SECRET)
    for node in pipeline.nodes:
        for context in node.pipeline_node.contexts.contexts:
            if context.type.name == store.RUN:
                context.properties[store.SETTINGS].field_value.string_value = kept


def run_node(settings: Settings, pipeline: pipeline_pb2.Pipeline, node: pipeline_pb2.PipelineNode, tell: Tell) -> None:
    """Runs one node of a run, after those upstream of it.

    Args:
      settings: those of the pipeline.
      pipeline: the compiled DAG, with the id of the run.
      node: one of its nodes.
      tell: called as the node starts and ends, with its name, its state, seconds and peak memory.

    Raises:
      UserError: where the node ended without its outputs; any error of the node itself is passed on.
    """
    name = node.node_info.id
    if settings.run.force_retrain and name == TRAINER:
        node.execution_options.caching_options.enable_cache = False
    tell(name, State.STARTED, 0, 0)
    with Meter() as meter:
        try:
            execution = _launcher(settings, pipeline, node).launch()
        except KeyboardInterrupt:  # the next run goes on within this execution
            tell(name, State.FAILED, meter.seconds(), meter.peak_bytes)
            raise
        except Exception:
            tell(name, State.FAILED, meter.seconds(), meter.peak_bytes)
            _mark_failed(settings, pipeline, name)
            raise
    _give_back_memory()
    state = _record(settings, execution.execution_id, meter)
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


def _record(settings: Settings, execution_id: int, meter: "Meter") -> int:
    """Keeps time, memory and a list of files on the execution, where others find them; returns the execution's state."""
    with store.opened(settings) as opened:
        (execution,) = opened.get_executions_by_id([execution_id])
        execution.custom_properties[store.SECONDS].double_value = meter.seconds()
        execution.custom_properties[store.PEAK_BYTES].int_value = meter.peak_bytes
        if execution.last_known_state == store.COMPLETE:
            store.note_files(opened, execution)
        opened.put_executions([execution])
    return execution.last_known_state
