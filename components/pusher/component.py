"""The Pusher: pushes a blessed model to a directory, together with its card and its smaller forms."""

from pathlib import Path
from typing import ClassVar

from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel, OutputChannel
from tfx.types.component_spec import ChannelParameter
from tfx.utils import json_utils

from components.pusher.executor import KEEP_VERSIONS, PusherExecutor
from graftline.artifacts.exports import Exports
from graftline.artifacts.report import ModelCard


class PusherSpec(standard_component_specs.PusherSpec):
    """What goes in and out of the Pusher."""

    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        **standard_component_specs.PusherSpec.INPUTS,
        "card": ChannelParameter(type=ModelCard, optional=True),
        "exports": ChannelParameter(type=Exports, optional=True),
    }


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model to a directory, together with its card and its smaller forms."""

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PusherExecutor)

    def __init__(self, directory: Path, keep_versions: int, **inputs: BaseChannel | None) -> None:
        """Sets up the component.

        Args:
          directory: the serving directory.
          keep_versions: how many versions to keep there.
          **inputs: the inputs of `PusherSpec`.
        """
        filesystem = PushDestination.Filesystem(base_directory=str(directory))
        spec = PusherSpec(
            push_destination=PushDestination(filesystem=filesystem),
            custom_config=json_utils.dumps({KEEP_VERSIONS: keep_versions}),
            pushed_model=OutputChannel(standard_artifacts.PushedModel, self, "pushed_model"),
            **inputs,
        )
        super().__init__(spec=spec)
