"""The driver of the training components: different pretrained weights get a different cache entry."""

import json
from typing import Any

from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput

from graftline.network import weights
from graftline.settings.training import Model

WEIGHTS = "pretrained_weights"  # a property of an execution


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Puts the hash of the pretrained weights into the cache key: a name such as `imagenet` does not identify them."""

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Finds the weights, and fetches them if that was never done.

        Args:
          execution_info: of this execution.

        Raises:
          UserError: if they cannot be obtained.
        """
        output = DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties[WEIGHTS], of(execution_info.exec_properties))
        return output


def of(exec_properties: dict[str, Any]) -> str:
    """Returns the hash of the weights that the `custom_config` of an execution asks for; empty for `none`."""
    model = Model(**json.loads(exec_properties["custom_config"])["model"])
    return weights.identity(model.backbone, model.image_size, model.weights)
