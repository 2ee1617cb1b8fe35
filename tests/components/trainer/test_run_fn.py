"""Both phases on a tiny dataset, end to end: what trains, what stays the same, what is stored."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tfx.components.trainer.executor import GenericExecutor
from tfx.types import standard_artifacts

from components.trainer.executor import TrainerExecutor
from graftline.artifacts.examples import SPLITS
from graftline.artifacts.history import HISTORY_FILE
from graftline.features import cache
from graftline.network import backbone, inference
from graftline.settings.backbones import BACKBONES
from graftline.settings.training import Model
from graftline.training import phases, temperature
from graftline.training.precision import choose_arithmetic, precision
from tests import tiny

Snapshot = dict[str, list[np.ndarray]]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("transform")
    tiny.write_transform(folder, [])
    return str(folder / "graph")


@pytest.fixture(scope="module", params=[2, 3])
def run(request: Any, graph: str, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of both phases, with the weights of each layer before and after each phase."""
    folder = tmp_path_factory.mktemp("run")
    tiny.write_examples(folder / "examples", request.param)
    tiny.write_weights(folder / "weights.h5")
    with pytest.MonkeyPatch.context() as patch:
        snapshots = _watch(patch)
        changes = {"model": {"weights": str(folder / "weights.h5")}, "training": {"export": "last"}}
        history = tiny.train(folder / "examples", graph, folder, **changes)
    return SimpleNamespace(folder=folder, num_classes=request.param, history=history, snapshots=snapshots)


def _watch(patch: pytest.MonkeyPatch) -> list[tuple[Snapshot, Snapshot]]:
    """Returns a list that will hold the weights of each layer before and after each phase."""
    snapshots: list[tuple[Snapshot, Snapshot]] = []
    fit = phases.Run._fit

    def watched_fit(run: phases.Run, *arguments: Any) -> None:
        before = _weights(run.network)
        fit(run, *arguments)
        snapshots.append((before, _weights(run.network)))

    patch.setattr(phases.Run, "_fit", watched_fit)
    return snapshots


def _weights(network: phases.Network) -> Snapshot:
    layers = [*network.base.layers, network.head.get_layer("logits")]
    return {layer.name: layer.get_weights() for layer in layers if layer.weights}


def _changed(before: Snapshot, after: Snapshot) -> set[str]:
    same = {
        name: all(np.array_equal(*pair) for pair in zip(values, after[name], strict=True))
        for name, values in before.items()
    }
    return {name for name, unchanged in same.items() if not unchanged}


def test_phase_1_trains_the_head_alone(run: SimpleNamespace) -> None:
    assert _changed(*run.snapshots[0]) == {"logits"}


def test_phase_2_trains_the_suffix_and_leaves_the_prefix(run: SimpleNamespace) -> None:
    layers = BACKBONES[tiny.MODEL["backbone"]].layers
    suffix = layers[layers.index(tiny.MODEL["fine_tune_at"]) :]
    with_weights = {name for name in suffix if name in run.snapshots[1][0]}
    assert _changed(*run.snapshots[1]) == with_weights | {"logits"}


def test_history_has_every_epoch_and_phase(run: SimpleNamespace) -> None:
    history = run.history
    assert history["label_names"] == [f"class {label}" for label in range(run.num_classes)]
    assert history["weights"]["source"] == "file"
    assert [len(phase["epochs"]) for phase in history["phases"]] == [1, 2]
    for number, phase in enumerate(history["phases"], 1):
        assert phase["phase"] == number
        assert phase["weights_of"] == {"phase": number, "epoch": len(phase["epochs"])}
        assert phase["validation_accuracy"] == phase["epochs"][-1]["val_accuracy"]
        assert 0 <= phase["test_accuracy"] <= 1
        assert set(phase["epochs"][0]) == {"epoch", "accuracy", "loss", "val_accuracy", "val_loss", "seconds", "ended"}


def test_history_tells_where_the_features_are_and_how_large_the_network_is(run: SimpleNamespace) -> None:
    for split, views in run.history["features"].items():
        assert [Path(view).name for view in views] == [f"{split}_plain"]
        assert cache.is_complete(Path(views[0]), tiny.IMAGES[split])
    assert set(run.history["features"]) == set(SPLITS)
    base = backbone.build(Model(**tiny.MODEL), None)
    on_top = backbone.head(base, Model(**tiny.MODEL), run.num_classes)
    assert run.history["parameters"] == base.count_params() + on_top.count_params()


def test_curves_can_be_read_by_tensorboard(run: SimpleNamespace) -> None:
    (file,) = (run.folder / "run/phase_2").iterdir()
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    values = [value for record in records for value in tf.compat.v1.Event.FromString(record).summary.value]
    losses = [tf.make_ndarray(value.tensor).item() for value in values if value.tag == "val_loss"]
    assert losses == pytest.approx([epoch["val_loss"] for epoch in run.history["phases"][1]["epochs"]])
    assert {value.metadata.plugin_data.plugin_name for value in values if value.HasField("metadata")} == {"scalars"}


def test_exported_model_has_the_trained_weights(run: SimpleNamespace) -> None:
    served = tf.saved_model.load(str(run.folder / "serving"))
    files = f"{run.folder}/examples/Split-test/*"
    examples = tf.constant(list(tf.data.TFRecordDataset(tf.io.gfile.glob(files)).as_numpy_iterator()))
    labels = served.signatures["transform_features"](examples=examples)["label"]
    answer = served.signatures["serving_default"](examples=examples)
    assert answer["probabilities"].shape == (4, run.num_classes)
    accuracy = float(np.mean(answer["label"].numpy() == labels.numpy()))
    assert accuracy == run.history["phases"][-1]["test_accuracy"]
    kernel = run.snapshots[-1][1]["logits"][0]
    variables = tf.train.list_variables(str(run.folder / "serving/variables/variables"))
    same_shape = [name for name, shape in variables if tuple(shape) == kernel.shape]
    saved = [tf.train.load_variable(str(run.folder / "serving/variables/variables"), name) for name in same_shape]
    assert any(np.array_equal(kernel, found) for found in saved)


def test_the_exported_model_knows_what_it_learnt_from(run: SimpleNamespace) -> None:
    served = tf.saved_model.load(str(run.folder / "serving")).signatures["serving_default"]
    known = {}
    for split in SPLITS:
        files = tf.io.gfile.glob(f"{run.folder}/examples/Split-{split}/*")
        examples = tf.constant(list(tf.data.TFRecordDataset(files).as_numpy_iterator()))
        known[split] = served(examples=examples)["known"].numpy()
    assert known["train"].all(), "each image is most like itself"
    assert known["validation"].mean() >= 0.75, "the bound may miss one of four images"
    assert run.history["known"]["images"] == tiny.IMAGES["train"]
    assert -1 <= run.history["known"]["least"] <= 1


def test_the_served_probabilities_are_calibrated_on_validation(run: SimpleNamespace) -> None:
    served = tf.saved_model.load(str(run.folder / "serving")).signatures
    files = tf.io.gfile.glob(f"{run.folder}/examples/Split-validation/*")
    examples = tf.constant(list(tf.data.TFRecordDataset(files).as_numpy_iterator()))
    labels = served["transform_features"](examples=examples)["label"].numpy()
    logits = np.log(served["serving_default"](examples=examples)["probabilities"])
    assert abs(run.history["temperature"] - 1) > 0.05, "otherwise calibration would change nothing"
    assert temperature.fit(labels, logits) == pytest.approx(1, abs=0.01)


def test_a_model_without_a_temperature_is_exported_as_it_is(graph: str, tmp_path: Path, monkeypatch) -> None:
    tiny.write_examples(tmp_path / "examples", 2)
    monkeypatch.setattr(temperature, "fit", None)
    training = {"temperature": False, "phase_1": {"epochs": 0}, "phase_2": {"epochs": 0}}
    assert tiny.train(tmp_path / "examples", graph, tmp_path, training=training)["temperature"] is None


@pytest.mark.parametrize("run", [2], indirect=True)
def test_same_seed_same_weights(run: SimpleNamespace, graph: str, tmp_path: Path, monkeypatch, capsys) -> None:
    snapshots = _watch(monkeypatch)
    tiny.train(run.folder / "examples", graph, tmp_path, model={"weights": str(run.folder / "weights.h5")})
    assert _changed(run.snapshots[-1][1], snapshots[-1][1]) == set()
    assert "Phase 1: 33 trainable parameters, 1 epoch, adam 0.01 constant, 12 images" in capsys.readouterr().out


def test_phases_without_epochs_are_skipped(graph: str, tmp_path: Path) -> None:
    tiny.write_examples(tmp_path / "examples", 2)
    skipped = {"phase_1": {"epochs": 0}, "phase_2": {"epochs": 0}}
    history = tiny.train(tmp_path / "examples", graph, tmp_path, training=skipped)
    assert history["phases"] == []
    assert history["weights"] == {"source": "none", "sha256": ""}
    assert (tmp_path / "serving/saved_model.pb").is_file()


@pytest.mark.parametrize(
    ("gpus", "bfloat16", "setting", "arithmetic"),
    [
        ([(7, 5)], True, "auto", "float16"),
        ([(8, 0)], False, "auto", "bfloat16"),
        ([(9, 0), (7, 5)], True, "auto", "float16"),
        ([None], True, "auto", "float16"),
        ([(9, 0)], True, "off", "float32"),
        ([], True, "auto", "bfloat16"),
        ([], True, "off", "float32"),
        ([], False, "auto", "float32"),
    ],
)
def test_smaller_arithmetic_only_where_the_machine_gains(
    gpus: list[tuple[int, int] | None], bfloat16: bool, setting: str, arithmetic: str, monkeypatch
) -> None:
    def details(gpu: tuple[int, int] | None) -> dict[str, tuple[int, int]]:
        return {"compute_capability": gpu} if gpu else {}  # only NVIDIA GPUs have it

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", details)
    monkeypatch.setattr(inference, "has_bfloat16", lambda: bfloat16)
    assert choose_arithmetic(setting) == arithmetic


@pytest.mark.parametrize(
    ("gpus", "arithmetic", "policy"),
    [
        (1, "float16", "mixed_float16"),
        (1, "bfloat16", "mixed_bfloat16"),
        (1, "float32", "float32"),
        (0, "bfloat16", "float32"),
    ],
)
def test_only_a_gpu_gets_layers_in_a_smaller_dtype_and_not_for_ever(
    gpus: int, arithmetic: str, policy: str, monkeypatch
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind] * gpus)
    before = keras.mixed_precision.dtype_policy()
    with precision(arithmetic):
        assert keras.mixed_precision.dtype_policy().name == policy
    assert keras.mixed_precision.dtype_policy() == before


def test_executor_describes_the_model(tmp_path: Path, monkeypatch) -> None:
    history = {
        "phases": [{"phase": 2, "validation_accuracy": 0.75, "test_accuracy": 0.5}],
        "weights": {"source": "file", "sha256": "abc"},
        "label_names": ["cat", "dog"],
    }
    (tmp_path / HISTORY_FILE).write_text(json.dumps(history))
    model, model_run = standard_artifacts.Model(), standard_artifacts.ModelRun()
    model_run.uri = str(tmp_path)
    monkeypatch.setattr(GenericExecutor, "Do", lambda *_: None)
    TrainerExecutor().Do({}, {"model": [model], "model_run": [model_run]}, {})
    assert model.get_string_custom_property("weights_sha256") == "abc"
    assert model.get_json_value_custom_property("label_names") == ["cat", "dog"]
    assert model.get_float_custom_property("phase_2_test_accuracy") == 0.5
