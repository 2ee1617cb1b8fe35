"""Executors by import path, so that none is imported just to look at a DAG or to ask the cache."""

from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.dsl.components.base.executor_spec import BeamExecutorSpec
from tfx.orchestration.portable.base_executor_operator import BaseExecutorOperator
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.executable_spec_pb2 import BeamExecutableSpec
from tfx.proto.orchestration.execution_result_pb2 import ExecutorOutput


class BeamExecutorNamed(BeamExecutorSpec):
    """A Beam executor in a component, given only as the path of its class."""

    def __init__(self, path: str) -> None:
        """Sets it up.

        Args:
          path: the class's path, such as `components.evaluator.executor.Executor`.
        """
        super().__init__(BaseBeamExecutor)
        self._class_path = path  # TFX 1.21 compiles only this path, and takes it from the class only if it is unset


class BeamExecutorLater(BaseExecutorOperator):
    """Runs a Beam executor as TFX's operator does, but imports it only then, not before the cache is asked."""

    SUPPORTED_EXECUTOR_SPEC_TYPE = BeamExecutorOperator.SUPPORTED_EXECUTOR_SPEC_TYPE
    SUPPORTED_PLATFORM_CONFIG_TYPE = BeamExecutorOperator.SUPPORTED_PLATFORM_CONFIG_TYPE

    def run_executor(self, execution_info: ExecutionInfo) -> ExecutorOutput:
        """Runs the executor, and returns its output.

        Args:
          execution_info: what the launcher knows of this execution.
        """
        return BeamExecutorOperator(self._executor_spec, self._platform_config).run_executor(execution_info)


OPERATORS = {BeamExecutableSpec: BeamExecutorLater}  # in the form that the launcher takes
