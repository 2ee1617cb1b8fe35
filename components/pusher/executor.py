"""The executor of the Pusher: does what TFX's does, but through `versions`, so that a version appears whole, and once."""

import json
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import Artifact, artifact_utils
from tfx.utils import proto_utils

from graftline.artifacts import push as noted
from graftline.artifacts.report_files import cards
from graftline.base.paths import copy_tree
from graftline.serving import pushes, versions
from graftline.serving.pushes import Push
from graftline.serving.versions import OvertakenError

KEEP_VERSIONS = "keep_versions"
EXPORTED = "*.tflite"


class PusherExecutor(executor.Executor):
    """Pushes a blessed model to a directory, and records on the PushedModel which version it is."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes; arguments as TFX gives them, and `keep_versions` in the custom configuration.

        Raises:
          OvertakenError: if another model went into production after this one was judged.
        """
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        destination = PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        directory = Path(destination.filesystem.base_directory)
        model = artifact_utils.get_single_instance(input_dict["model"])
        # ServingCheck's copy, which has warm-up requests; TFX's own Pusher takes it only if there is no input `model`
        stamped = {key: artifacts for key, artifacts in input_dict.items() if key != "model"}
        path = self.GetModelPath(stamped if "infra_blessing" in stamped else input_dict)
        digest, served = pushes.digest(Path(path)), versions.served(directory)
        if taken_back := pushes.withdrawals(directory).get(digest):
            self._MarkNotPushed(pushed)
            why = f"{taken_back.who} took this model back on {taken_back.when[:10]}: {taken_back.why}"
            pushed.set_string_custom_property(noted.REFUSED, why)
            return
        (blessing,) = input_dict["model_blessing"]
        if served not in (digest, blessing.get_string_custom_property(noted.SERVED)):
            raise OvertakenError(
                f"The model in production in {directory} is no longer the one that this candidate was compared with."
            )
        push = versions.publish(Path(path), directory, _judged(blessing), _extras(input_dict))
        versions.prune(directory, json.loads(exec_properties["custom_config"])[KEEP_VERSIONS])
        copy_tree(Path(path), Path(pushed.uri))
        _note(pushed, directory, push, model.id)


def _judged(blessing: Artifact) -> Push:
    """Returns the part of a push's record that says how its model was judged."""
    against = json.loads(blessing.get_string_custom_property(noted.OPPONENTS) or "{}")
    return Push(0, "", accuracy=blessing.get_float_custom_property(noted.ACCURACY), opponents=against)


def _note(pushed: Artifact, directory: Path, push: Push, model_id: int) -> None:
    """Records on a PushedModel which version it is."""
    for name, number in ((noted.PUSHED, 1), (noted.MODEL_ID, model_id)):
        pushed.set_int_custom_property(name, number)
    version = str(push.version)
    for name, text in (
        (noted.DESTINATION, str(directory / version)),
        (noted.VERSION, version),
        (noted.DIGEST, push.digest),
    ):
        pushed.set_string_custom_property(name, text)


def _extras(input_dict: dict[str, list[Artifact]]) -> list[Path]:
    """Returns the files that go with the model: its card, and its smaller forms."""
    found = [path for card in input_dict.get("card", []) for path in cards(card.uri)]
    return found + [
        path for exports in input_dict.get("exports", []) for path in sorted(Path(exports.uri).glob(EXPORTED))
    ]
