"""The Pusher: what TFX's does, through `publishing`, so that a version appears whole, and once, with its card beside it."""

import json
from pathlib import Path
from typing import Any, ClassVar

from tfx.components.pusher import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import Artifact, artifact_utils, standard_artifacts, standard_component_specs
from tfx.types.channel import BaseChannel, OutputChannel
from tfx.types.component_spec import ChannelParameter
from tfx.utils import io_utils, json_utils, proto_utils

from components import publishing
from components.publishing import Push
from components.report.artifacts import Exports, RunReport, cards

PUSHED, DESTINATION, VERSION, MODEL_ID = "pushed", "pushed_destination", "pushed_version", "model_id"
KEEP_VERSIONS = "keep_versions"
EXPORTED = "*.tflite"


class PusherExecutor(executor.Executor):
    """Pushes a blessed model to a directory, and notes on the PushedModel which one it was."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes; arguments as TFX gives them, and `keep_versions` in the custom configuration."""
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        directory = Path(destination.filesystem.base_directory)
        model = artifact_utils.get_single_instance(input_dict["model"])
        # The copy with warm-up requests, which the check of serving has made; TFX's own Pusher takes it only without a model
        stamped = {key: artifacts for key, artifacts in input_dict.items() if key != "model"}
        path = self.GetModelPath(stamped if "infra_blessing" in stamped else input_dict)
        if publishing.model_digest(Path(path)) in publishing.withdrawn(directory):
            self._MarkNotPushed(pushed)  # a person took it back, and it is only here because its report was made again
            return
        push = publishing.publish(Path(path), directory, model.id, _extras(input_dict))
        publishing.prune(directory, json.loads(exec_properties["custom_config"])[KEEP_VERSIONS])
        io_utils.copy_dir(path, pushed.uri)
        for name, value in properties(directory, push).items():
            set_property = (
                pushed.set_int_custom_property if isinstance(value, int) else pushed.set_string_custom_property
            )
            set_property(name, value)


def _extras(input_dict: dict[str, list[Artifact]]) -> list[Path]:
    """Returns the files that go with the model: its card, and its smaller forms."""
    found = [path for report in input_dict.get("report", []) for path in cards(report.uri)]
    return found + [
        path for exports in input_dict.get("exports", []) for path in sorted(Path(exports.uri).glob(EXPORTED))
    ]


class PusherSpec(standard_component_specs.PusherSpec):
    """What goes in and out of the Pusher."""

    INPUTS: ClassVar[dict[str, ChannelParameter]] = {
        **standard_component_specs.PusherSpec.INPUTS,
        "report": ChannelParameter(type=RunReport, optional=True),
        "exports": ChannelParameter(type=Exports, optional=True),
    }


class Pusher(base_component.BaseComponent):
    """Pushes a blessed model to a directory, with its card and its smaller forms."""

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(PusherExecutor)

    def __init__(self, directory: Path, keep_versions: int, code: str, **inputs: BaseChannel | None) -> None:
        """Sets up the component.

        Args:
          directory: the serving directory.
          keep_versions: how many versions stay there.
          code: hash of the source; the cache of another code is not used.
          **inputs: those of `PusherSpec`.
        """
        filesystem = PushDestination.Filesystem(base_directory=str(directory))
        spec = PusherSpec(
            push_destination=PushDestination(filesystem=filesystem),
            custom_config=json_utils.dumps({KEEP_VERSIONS: keep_versions, "code": code}),
            pushed_model=OutputChannel(standard_artifacts.PushedModel, self, "pushed_model"),
            **inputs,
        )
        super().__init__(spec=spec)


def properties(directory: Path, push: Push) -> dict[str, int | str]:
    """Returns what is noted on the PushedModel artifact of a push."""
    return {
        PUSHED: 1,
        DESTINATION: str(directory / str(push.version)),
        VERSION: str(push.version),
        MODEL_ID: push.model_id,
    }
