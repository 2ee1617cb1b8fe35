"""What CardGen and ReportGen share: their driver, which runs before the cache is consulted, their parameters and writing."""

import abc
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfx.dsl.components.base import base_driver, base_executor
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput
from tfx.types import Artifact, artifact_utils
from tfx.types.component_spec import ExecutionParameter

from components.report import lineage
from graftline.base.paths import aside
from graftline.runs.store import SECRET
from graftline.settings.load import command
from graftline.settings.settings import Settings

STEPS = "steps"
PARAMETERS = {name: ExecutionParameter(type=str) for name in ("settings", "command", "push_to")}


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Reads from the metadata store how the model was made, before the cache is consulted."""

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Puts the steps that led to the inputs into the execution's properties.

        Args:
          execution_info: describes this execution.
        """
        inputs = [
            artifact.id
            for key, artifacts in execution_info.input_dict.items()
            for artifact in artifacts
            if not key.startswith(lineage.ASIDE)
        ]
        with self._metadata_handle as handle:
            steps = lineage.steps(handle.store, inputs)
        output = DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties[STEPS], json.dumps([asdict(step) for step in steps]))
        return output


class Executor(base_executor.BaseExecutor):
    """Writes files about a run; a subclass decides which."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes the one output.

        Args:
          input_dict: the inputs in the component's spec.
          output_dict: one artifact.
          exec_properties: the parameters in the component's spec, and `steps` from the driver.
        """
        inputs = {key: artifact_utils.get_single_instance(found) for key, found in input_dict.items() if found}
        (made,) = output_dict.values()
        self.tell(inputs, exec_properties, Path(artifact_utils.get_single_uri(made)))

    @abc.abstractmethod
    def tell(self, inputs: dict[str, Artifact], properties: dict[str, Any], folder: Path) -> None:
        """Writes files into a folder.

        Args:
          inputs: artifacts by key, without the keys that have none.
          properties: the execution properties.
          folder: the output folder.
        """


def given(settings: Settings) -> dict[str, Any]:
    """Returns the values of `PARAMETERS`: the settings without those that may be secret, the command and where it pushes."""
    return {
        "settings": settings.model_dump_json(exclude=SECRET),
        "command": command(),
        "push_to": str(settings.push_dir),
    }


def write(path: Path, text: str) -> None:
    """Writes a file, whole or not at all."""
    written = aside(path)
    written.write_text(text)
    written.replace(path)
