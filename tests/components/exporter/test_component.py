"""Smaller forms of a model are kept if they are as good as the model, and dropped if they are worse."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tfx.types import standard_artifacts

from components.exporter import component
from components.exporter.component import Exporter, _Images
from components.exporter.tflite import FP16, INT8
from graftline.artifacts.examples import IMAGE, TRAIN, read_label_names
from graftline.artifacts.exports import EXPORTS_FILE, Exports
from graftline.network import backbone
from graftline.serving import export as serving
from graftline.settings.training import Model
from tests import tiny

BOTH = (FP16, INT8)


def brightness_classifier(loud: float) -> keras.Model:
    """Returns a network that tells the tiny images apart by brightness, next to a channel with activation `loud`."""
    model = Model(**tiny.MODEL)
    inputs = keras.Input((tiny.SIZE, tiny.SIZE, 3))
    base = keras.Model(inputs, keras.layers.Conv2D(2, 5, strides=4, activation="relu")(inputs))
    head = backbone.head(base, model, 2)
    kernel = np.zeros((5, 5, 3, 2), np.float32)
    kernel[..., 1] = 1 / 75
    base.set_weights([kernel, np.array([loud, 1], np.float32)])
    head.set_weights([np.array([[0], [10]], np.float32), np.array([-5], np.float32)])
    return backbone.classifier(base, head, model, base.layers[-1].name)


def run(folder: Path, model: keras.Model, max_drop: float = 0.0) -> tuple[Path, dict]:
    """Runs the component on a network; returns its folder, and the measurements by name."""
    tiny.write_examples(folder / "examples", 2)
    transform = tiny.write_transform(folder, [])
    serving.export(
        model, transform, ["dark", "bright"], str(folder / "model/Format-Serving"), tiny.knows(channels=2), 2
    )
    artifacts = {}
    for key, kind in {
        "model": standard_artifacts.Model,
        "examples": standard_artifacts.Examples,
        "exports": Exports,
    }.items():
        artifacts[key] = kind()
        artifacts[key].uri = str(folder / key)
    Exporter.test_call(**artifacts, names=json.dumps(BOTH), max_drop=max_drop)
    measured = json.loads((folder / "exports" / EXPORTS_FILE).read_text())
    return folder / "exports", {export["name"]: export for export in measured}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    return run(tmp_path_factory.mktemp("kept"), brightness_classifier(loud=1))


def test_a_form_that_is_as_good_as_the_model_is_kept_with_its_class_names(kept):
    folder, measured = kept
    assert list(measured) == list(BOTH)
    for name, export in measured.items():
        assert (export["kept"], export["accuracy"], export["reason"]) == (True, 1.0, "")
        assert export["size"] == (folder / f"{name}.tflite").stat().st_size
        assert export["latency_ms"] > 0
    assert read_label_names(str(folder)) == ["dark", "bright"]


@pytest.mark.parametrize(("name", "tolerance"), [(FP16, 2e-3), (INT8, 3e-2)])
def test_it_takes_the_pixels_of_the_transform_and_gives_the_model_s_probabilities(kept, name, tolerance):
    folder, _ = kept
    interpreter = Interpreter(model_path=str(folder / f"{name}.tflite"))
    network = interpreter.get_signature_runner()
    signatures = tf.saved_model.load(str(folder.parent / "model/Format-Serving")).signatures
    pixels = np.random.default_rng(0).uniform(-1, -0.2, (1, tiny.SIZE, tiny.SIZE, 3)).astype(np.float32)
    expected = signatures["serving_pixels"](image=tf.constant(pixels))["probabilities"]
    np.testing.assert_allclose(network(image=pixels)["probabilities"], expected, atol=tolerance)


def test_int8_computes_in_integers(kept):
    folder, _ = kept
    types = {}
    for name in BOTH:
        interpreter = Interpreter(model_path=str(folder / f"{name}.tflite"))
        types[name] = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    assert np.int8 in types[INT8]
    assert np.float16 in types[FP16]
    assert np.int8 not in types[FP16]


def test_a_form_that_is_worse_than_it_may_be_is_not_kept_and_says_why(tmp_path):
    folder, measured = run(tmp_path, brightness_classifier(loud=1e4), max_drop=0.4)
    assert measured[FP16]["kept"]
    assert (measured[INT8]["kept"], measured[INT8]["accuracy"]) == (False, 0.5)
    reason = "accuracy drops from 1.0000 to 0.5000, but gate.max_export_drop is 0.4000"
    assert measured[INT8]["reason"] == reason
    assert sorted(path.name for path in folder.glob("*.tflite")) == [f"{FP16}.tflite"]


def test_a_form_that_is_worse_by_less_than_the_limit_is_kept(tmp_path):
    folder, measured = run(tmp_path, brightness_classifier(loud=1e4), max_drop=0.5)
    assert measured[INT8]["accuracy"] == 0.5
    assert (folder / f"{INT8}.tflite").is_file()


def test_the_ranges_of_int8_are_taken_from_training_images_of_all_the_split(tmp_path, monkeypatch):
    tiny.write_examples(tmp_path / "examples", 2)
    monkeypatch.setattr(component, "REPRESENTATIVE", 4)
    read = []

    def transform(examples):
        read.append(examples.numpy()[0])
        return {IMAGE: tf.zeros([1, 1, 1, 3])}

    list(_Images(transform, str(tmp_path / "examples")).representative())
    train = list(component.records.read(str(tmp_path / "examples"), TRAIN).as_numpy_iterator())
    assert read == train[::3]
