"""The Pusher: what goes with a model, and what is not pushed."""

from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import Artifact, standard_artifacts
from tfx.utils import json_utils

from components.pusher.executor import KEEP_VERSIONS, PusherExecutor
from graftline.artifacts.examples import EXTRA
from graftline.artifacts.exports import Exports
from graftline.artifacts.push import PUSHED
from graftline.artifacts.report import RunReport
from graftline.artifacts.report_files import CARDS
from graftline.serving import versions


def artifact(kind: type[Artifact], folder: Path, **files: str) -> Artifact:
    made = kind()
    made.uri = str(folder)
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return made


@pytest.fixture
def push(tmp_path):
    """Pushes a model of this text; returns the PushedModel artifact."""

    def run(text: str = "a", **more: list[Artifact]) -> Artifact:
        blessing = artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing")
        blessing.set_int_custom_property("blessed", 1)
        model = artifact(standard_artifacts.Model, tmp_path / text, **{"Format-Serving__saved_model_dot_pb": text})
        pushed = artifact(standard_artifacts.PushedModel, tmp_path / "pushed")
        destination = PushDestination(filesystem=PushDestination.Filesystem(base_directory=str(tmp_path / "serving")))
        PusherExecutor().Do(
            {"model": [model], "model_blessing": [blessing], **more},
            {"pushed_model": [pushed]},
            {
                "push_destination": json_format.MessageToJson(destination, preserving_proto_field_name=True),
                "custom_config": json_utils.dumps({KEEP_VERSIONS: 5}),
            },
        )
        return pushed

    return run


def test_the_card_and_smaller_forms_go_with_the_model(push, tmp_path):
    cards = {name.replace(".", "_dot_"): name for name in CARDS}
    report = artifact(RunReport, tmp_path / "report", report_dot_html="a page", **cards)
    exports = artifact(Exports, tmp_path / "exports", int8_dot_tflite="small", exports_dot_json="[]")
    assert push(report=[report], exports=[exports]).get_int_custom_property(PUSHED) == 1
    (version,) = versions.versions(tmp_path / "serving")
    extra = tmp_path / "serving" / str(version) / EXTRA
    assert {path.name: path.read_text() for path in extra.iterdir()} == {
        **{name: name for name in CARDS},
        "int8.tflite": "small",
    }


def test_without_a_report_the_model_goes_alone(push, tmp_path):
    push()
    (version,) = versions.versions(tmp_path / "serving")
    assert [path.name for path in (tmp_path / "serving" / str(version)).iterdir()] == ["saved_model.pb"]


def test_a_model_that_was_taken_back_is_not_pushed_again(push, tmp_path):
    push("a")
    push("b")
    again = versions.roll_back(tmp_path / "serving", "calls dogs cats")
    assert push("b").get_int_custom_property(PUSHED) == 0
    assert versions.production(tmp_path / "serving") == again
