"""CardGen: the card that travels with a model, made from plain facts before the push."""

from pathlib import Path
from typing import Any, ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import Artifact, standard_artifacts
from tfx.types.channel import BaseChannel, OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.report import common
from components.report.common import PARAMETERS, Driver, given, write
from graftline.artifacts.data_review import DataReview
from graftline.artifacts.duplicates import DuplicatesReport
from graftline.artifacts.exports import Exports
from graftline.artifacts.report import ModelCard
from graftline.artifacts.report_files import CARDS
from graftline.settings.settings import Settings

CARD = "card"


class Executor(common.Executor):
    """Writes the card, as Markdown and as JSON."""

    def tell(self, inputs: dict[str, Artifact], properties: dict[str, Any], folder: Path) -> None:
        """Writes it; see `common.Executor` for the arguments."""
        # Imported here, because statistics take seconds to import and every program imports this module
        from components.report import card, facts

        told = facts.card(inputs, properties)
        for name, text in zip(CARDS, (card.as_markdown(told), card.as_json(told)), strict=True):
            write(folder / name, text)


class CardGenSpec(ComponentSpec):
    """What goes in and out of CardGen."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = PARAMETERS
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "duplicates": ChannelParameter(type=DuplicatesReport),
        "review": ChannelParameter(type=DataReview),
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing),
        "exports": ChannelParameter(type=Exports, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {CARD: ChannelParameter(type=ModelCard)}


class CardGen(base_component.BaseComponent):
    """Writes the card of a model: what it learned from, how good it is, and how to reproduce it."""

    SPEC_CLASS = CardGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, settings: Settings, **inputs: BaseChannel | None) -> None:
        """Sets up the component.

        Args:
          settings: all of them; the card shows them, except those that may be secret.
          **inputs: those of `CardGenSpec`.
        """
        super().__init__(spec=CardGenSpec(card=OutputChannel(ModelCard, self, CARD), **given(settings), **inputs))
