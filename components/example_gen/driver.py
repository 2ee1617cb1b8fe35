"""The driver of TfdsExampleGen: an unchanged dataset is not read again."""

from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput

from components.example_gen.executor import data_of
from graftline.artifacts.examples import EXAMPLES, FINGERPRINT


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Puts the dataset's fingerprint into the cache key: an unchanged dataset is not read again."""

    def fingerprint(self, exec_properties: dict[str, Any]) -> str:
        """Returns a value that changes when the dataset does."""
        return data_of(exec_properties).source.fingerprint()

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Computes the fingerprint, and prepares a TFDS set first if needed.

        Args:
          execution_info: what the launcher knows of this execution.

        Raises:
          UserError: if a TFDS set is not available.
        """
        value = self.fingerprint(execution_info.exec_properties)
        [examples] = execution_info.output_dict[EXAMPLES]
        examples.set_string_custom_property(FINGERPRINT, value)
        output = DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties[FINGERPRINT], value)
        output.output_artifacts[EXAMPLES].artifacts.append(examples.mlmd_artifact)
        return output
