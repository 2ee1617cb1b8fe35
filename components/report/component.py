"""ReportGen: the report of a run for people. It runs after the Pusher, whether or not a model was pushed, and may fail."""

from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import Artifact, standard_artifacts
from tfx.types.channel import BaseChannel, OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.report import common
from components.report.card_gen import CardGenSpec
from components.report.common import PARAMETERS, Driver, given, write
from graftline.artifacts import findings
from graftline.artifacts.report import RunReport
from graftline.artifacts.report_files import PAGE
from graftline.settings.settings import Settings

REPORT = "report"


class Executor(common.Executor):
    """Writes the page and the table of images that deserve a look."""

    def tell(self, inputs: dict[str, Artifact], properties: dict[str, Any], folder: Path) -> None:
        """Writes them; see `common.Executor` for the arguments."""
        # Imported here, because plots and statistics take seconds to import and every program imports this module
        from components.report import gather, page

        report = gather.report(inputs, properties)
        write(folder / PAGE, page.render(report, path_utils.serving_model_path(inputs["model"].uri)))
        findings.write(folder / findings.FINDINGS_FILE, report.findings)


class ReportGenSpec(ComponentSpec):
    """What goes in and out of ReportGen."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = PARAMETERS
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        **CardGenSpec.INPUTS,
        "baseline_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {REPORT: ChannelParameter(type=RunReport)}


class ReportGen(base_component.BaseComponent):
    """Reports on a run: what the model learned from, how good it is, and whether it may be pushed."""

    SPEC_CLASS = ReportGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, settings: Settings, **inputs: BaseChannel | None) -> None:
        """Sets up the component.

        Args:
          settings: all of them; the report shows them, except those that may be secret.
          **inputs: those of `ReportGenSpec`.
        """
        super().__init__(spec=ReportGenSpec(report=OutputChannel(RunReport, self, REPORT), **given(settings), **inputs))
