"""The Evaluator: TFX's Evaluator measures a candidate and keeps the models' answers; the rules of the gate decide by them.

A candidate is compared with the models in the serving directory, whatever the metadata store knows of them: the driver looks
up their digests before the cache is consulted.
"""

import json
from pathlib import Path

from tfx.dsl.components.base import base_beam_component, base_driver
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput
from tfx.types import artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel, OutputChannel
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.utils import json_utils, path_utils

from components.evaluator.config import eval_config
from graftline.artifacts.duplicates import DuplicatesReport
from graftline.artifacts.examples import TEST
from graftline.runs.executors import BeamExecutorNamed
from graftline.serving import pushes, versions
from graftline.settings.gate import Gate

GATE = "gate"  # a property of an execution: `Gate` as JSON
DUPLICATES = "duplicates"  # an input: what Duplicates found
MODEL_RUN = "model_run"  # an input: the Trainer's record, with the folders of the images' features
SERVING_DIR = "serving_dir"  # a property: the folder of the pushed versions
OPPONENTS = "opponents"  # a property that the driver adds: digests of the other models by their role, as JSON


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Finds the models that the candidate is compared with, before the cache is consulted."""

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Puts their digests into the execution's properties.

        Args:
          execution_info: what the launcher knows of this execution.
        """
        candidate = path_utils.serving_model_path(artifact_utils.get_single_uri(execution_info.input_dict["model"]))
        directory = Path(execution_info.exec_properties[SERVING_DIR])
        found = versions.opponents(directory, pushes.digest(Path(candidate)))
        output = DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties[OPPONENTS], json.dumps(found))
        return output


class EvaluatorSpec(standard_component_specs.EvaluatorSpec):
    """What goes in and out: what TFX's Evaluator has, and what the gate needs."""

    PARAMETERS = standard_component_specs.EvaluatorSpec.PARAMETERS | {
        GATE: ExecutionParameter(type=str),
        SERVING_DIR: ExecutionParameter(type=str),
    }
    INPUTS = standard_component_specs.EvaluatorSpec.INPUTS | {
        DUPLICATES: ChannelParameter(type=DuplicatesReport),
        MODEL_RUN: ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Evaluator(base_beam_component.BaseBeamComponent):
    """TFX's Evaluator with this driver and our own executor; TFX's class itself would import TFMA."""

    SPEC_CLASS = EvaluatorSpec
    EXECUTOR_SPEC = BeamExecutorNamed("components.evaluator.executor.Executor")
    DRIVER_CLASS = Driver

    def __init__(
        self,
        examples: BaseChannel,
        duplicates: BaseChannel,
        model: BaseChannel,
        model_run: BaseChannel,
        gate: Gate,
        serving_dir: Path,
    ) -> None:
        """Sets up the component.

        Args:
          examples: the examples, of which the test split is used.
          duplicates: what Duplicates found in them.
          model: the candidate.
          model_run: what the Trainer stored besides the model.
          gate: what is demanded.
          serving_dir: folder of the pushed versions.
        """
        spec = EvaluatorSpec(
            examples=examples,
            model=model,
            duplicates=duplicates,
            model_run=model_run,
            evaluation=OutputChannel(standard_artifacts.ModelEvaluation, self, "evaluation"),
            blessing=OutputChannel(standard_artifacts.ModelBlessing, self, "blessing"),
            eval_config=eval_config(),
            example_splits=json_utils.dumps([TEST]),
            module_path="components.evaluator.extractors",
            gate=gate.model_dump_json(exclude={"max_export_drop"}),  # only the Exporter uses it
            serving_dir=str(serving_dir),
        )
        super().__init__(spec)
