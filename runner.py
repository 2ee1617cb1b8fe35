"""Runs the DAG on this machine, node by node, and shows what it is doing."""

import ctypes
import datetime
import gc
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import launcher, runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

import console
import store
import work
from settings import UserError

SECONDS, PEAK_BYTES = "seconds", "peak_bytes"  # custom properties of an execution
DONE = (store.COMPLETE, store.CACHED)


class LocalRunner(LocalDagRunner):
    """TFX's local runner with a line a node, and time and memory kept on each execution in the metadata store.

    Args:
      root: folder of everything that runs make; one run at a time uses it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

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
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline)
        connection = deployment.metadata_connection_config
        config = getattr(connection, connection.WhichOneof("connection_config"))
        with work.alone(self._root):
            with metadata.Metadata(config) as handle:
                store.forget_damaged(handle.store)
            for node in pipeline.nodes:
                self._run_node(pipeline, node.pipeline_node, deployment, config)
        return run_id

    def _run_node(self, pipeline: Any, node: Any, deployment: Any, config: Any) -> None:
        name = node.node_info.id
        node_launcher = launcher.Launcher(
            pipeline_node=node,
            mlmd_connection=metadata.Metadata(config),
            pipeline_info=pipeline.pipeline_info,
            pipeline_runtime_spec=pipeline.runtime_spec,
            executor_spec=runner_utils.extract_executor_spec(deployment, name),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        )
        console.started(name)
        with Meter() as meter:
            try:
                execution = node_launcher.launch()
            except BaseException:
                console.ended(name, "failed", meter.seconds(), meter.peak_bytes)
                raise
        _give_back_memory()
        state = _record(config, execution.execution_id, meter)
        if state not in DONE:
            raise UserError(f"{name} did not run, for its inputs are missing: delete its pipeline root and run again.")
        console.ended(name, "cached" if state == store.CACHED else "done", meter.seconds(), meter.peak_bytes)


def _give_back_memory() -> None:
    """Returns freed memory, which the C library keeps, to the system, so that the next node's peak is its own."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def _record(config: Any, execution_id: int, meter: "Meter") -> int:
    """Keeps time, memory and a list of files on the execution, where others find them; returns the execution's state."""
    with metadata.Metadata(config) as handle:
        (execution,) = handle.store.get_executions_by_id([execution_id])
        execution.custom_properties[SECONDS].double_value = meter.seconds()
        execution.custom_properties[PEAK_BYTES].int_value = meter.peak_bytes
        if execution.last_known_state == store.COMPLETE:
            store.note_files(handle.store, execution)
        handle.store.put_executions([execution])
    return execution.last_known_state


class Meter:
    """Measures time and the peak of the resident memory of this process and its children, in bytes."""

    INTERVAL = 0.1  # seconds between two looks

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._process = psutil.Process()
        self._start = time.monotonic()
        self._end: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._end = time.monotonic()

    def seconds(self) -> float:
        """Returns the time since the start, or up to the end."""
        return (self._end or time.monotonic()) - self._start

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self._resident())
            if self._stop.wait(self.INTERVAL):
                return

    def _resident(self) -> int:
        total = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:  # ended between the two looks
                continue
        return total
