"""The Pusher's executor: what TFX's does, through `publishing`, so that a version appears whole, and once."""

import json
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import Artifact, artifact_utils
from tfx.utils import io_utils, proto_utils

from components import publishing
from components.publishing import Push

PUSHED, DESTINATION, VERSION, MODEL_ID = "pushed", "pushed_destination", "pushed_version", "model_id"
KEEP_VERSIONS = "keep_versions"


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
        push = publishing.publish(Path(path), directory, model.id)
        publishing.prune(directory, json.loads(exec_properties["custom_config"])[KEEP_VERSIONS])
        io_utils.copy_dir(path, pushed.uri)
        for name, value in properties(directory, push).items():
            set_property = (
                pushed.set_int_custom_property if isinstance(value, int) else pushed.set_string_custom_property
            )
            set_property(name, value)


def properties(directory: Path, push: Push) -> dict[str, int | str]:
    """Returns what is noted on the PushedModel artifact of a push."""
    return {
        PUSHED: 1,
        DESTINATION: str(directory / str(push.version)),
        VERSION: str(push.version),
        MODEL_ID: push.model_id,
    }
