"""ReportGen: the report of a run for people, and the model's card; it runs whether or not the model is blessed."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, base_driver, base_executor, executor_spec
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput
from tfx.types import Artifact, artifact_utils, standard_artifacts
from tfx.types.channel import BaseChannel, OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.report import lineage
from graftline.artifacts.data_review import DataReview
from graftline.artifacts.duplicates import DuplicatesReport
from graftline.artifacts.exports import Exports
from graftline.artifacts.report import RunReport
from graftline.artifacts.report_files import CARDS, PAGE
from graftline.runs.store import SECRET
from graftline.settings.load import command
from graftline.settings.settings import Settings

REPORT, STEPS = "report", "steps"


class Executor(base_executor.BaseExecutor):
    """Writes the page and the cards."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reports on a run.

        Args:
          input_dict: those of `ReportGenSpec`.
          output_dict: `report`, one artifact.
          exec_properties: those of `ReportGenSpec`, and `steps`, which the driver found.
        """
        # Not with this module: plots and statistics take seconds to import, at every start of any program
        from components.report import card, gather, page

        inputs = {key: artifact_utils.get_single_instance(found) for key, found in input_dict.items() if found}
        report = gather.report(inputs, exec_properties)
        made = artifact_utils.get_single_uri(output_dict[REPORT])
        html = page.render(report, path_utils.serving_model_path(inputs["model"].uri))
        texts = html, card.as_markdown(report), card.as_json(report)
        for name, text in zip((PAGE, *CARDS), texts, strict=True):
            _write(Path(made, name), text)


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_text(text)
    aside.replace(path)


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Reads in the metadata store how the model came to be, before the cache is asked."""

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Puts the steps that led to the inputs into the execution's properties.

        Args:
          execution_info: of this execution.
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


class ReportGenSpec(ComponentSpec):
    """What goes in and out of ReportGen."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "settings": ExecutionParameter(type=str),
        "command": ExecutionParameter(type=str),
        "push_to": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "baseline_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
        "review": ChannelParameter(type=DataReview),
        "duplicates": ChannelParameter(type=DuplicatesReport),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "exports": ChannelParameter(type=Exports, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {REPORT: ChannelParameter(type=RunReport)}


class ReportGen(base_component.BaseComponent):
    """Reports on a run: what was learnt from what, how good it is, and whether it may go out."""

    SPEC_CLASS = ReportGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, settings: Settings, **inputs: BaseChannel | None) -> None:
        """Sets up the component.

        Args:
          settings: all of them, for the report shows them; without those that may be secret.
          **inputs: those of `ReportGenSpec`.
        """
        spec = ReportGenSpec(
            settings=settings.model_dump_json(exclude=SECRET),
            command=command(),
            push_to=str(settings.push_dir),
            report=OutputChannel(RunReport, self, REPORT),
            **inputs,
        )
        super().__init__(spec=spec)
