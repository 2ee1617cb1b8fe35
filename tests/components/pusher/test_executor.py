"""The Pusher: what goes with a model, and what is not pushed."""

import json
from pathlib import Path

import pytest
from google.protobuf import json_format
from tfx.proto.pusher_pb2 import PushDestination
from tfx.types import Artifact, standard_artifacts
from tfx.utils import json_utils

from components.pusher.executor import KEEP_VERSIONS, PusherExecutor
from graftline.artifacts.examples import EXTRA
from graftline.artifacts.exports import Exports
from graftline.artifacts.push import ACCURACY, DIGEST, OPPONENTS, PUSHED, REFUSED, SERVED
from graftline.artifacts.report import ModelCard
from graftline.artifacts.report_files import CARDS
from graftline.base import stop
from graftline.base.errors import UserError
from graftline.serving import pushes, versions
from graftline.serving.versions import OvertakenError


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
    """Pushes a model with this text, compared with production or with a digest; returns the PushedModel artifact."""

    def run(text: str = "a", held_against: str | None = None, **more: list[Artifact]) -> Artifact:
        blessing = artifact(standard_artifacts.ModelBlessing, tmp_path / "blessing")
        blessing.set_int_custom_property("blessed", 1)
        served = versions.served(tmp_path / "serving") if held_against is None else held_against
        blessing.set_string_custom_property(SERVED, served)
        blessing.set_string_custom_property(OPPONENTS, json.dumps({versions.PRODUCTION: served}))
        blessing.set_float_custom_property(ACCURACY, 0.9)
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
    card = artifact(ModelCard, tmp_path / "card", **cards)
    exports = artifact(Exports, tmp_path / "exports", int8_dot_tflite="small", exports_dot_json="[]")
    assert push(card=[card], exports=[exports]).get_int_custom_property(PUSHED) == 1
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
    refused = push("b")
    assert refused.get_int_custom_property(PUSHED) == 0
    told = f"{again.who} took this model back on {again.when[:10]}: calls dogs cats"
    assert refused.get_string_custom_property(REFUSED) == told
    assert versions.production(tmp_path / "serving") == again


def test_how_a_model_was_judged_is_told_with_its_push(push, tmp_path):
    first = push("a")
    second = push("b")
    kept = versions.production(tmp_path / "serving")
    assert (kept.digest, kept.accuracy) == (second.get_string_custom_property(DIGEST), 0.9)
    assert kept.opponents == {versions.PRODUCTION: first.get_string_custom_property(DIGEST)}


def test_a_model_that_was_held_against_another_one_than_is_in_production_is_not_pushed(push, tmp_path):
    push("a")
    before = versions.served(tmp_path / "serving")
    push("b")
    with pytest.raises(OvertakenError, match="is no longer the one that this candidate was compared with"):
        push("c", held_against=before)
    with pytest.raises(OvertakenError):
        push("c", held_against="")
    assert len(versions.versions(tmp_path / "serving")) == 2


def test_a_model_that_is_in_production_may_be_pushed_again_whatever_it_was_held_against(push, tmp_path):
    push("a")
    assert push("a", held_against="").get_int_custom_property(PUSHED) == 1
    assert len(versions.versions(tmp_path / "serving")) == 1


def test_a_process_that_has_lost_its_lock_publishes_nothing(push, tmp_path):
    def lost() -> None:
        raise UserError("The lock was lost.")

    with stop.heeding(lost), pytest.raises(UserError, match="The lock was lost"):
        push("a")
    assert not versions.versions(tmp_path / "serving")
    assert not pushes.read(tmp_path / "serving")
