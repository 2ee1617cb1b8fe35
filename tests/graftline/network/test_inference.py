"""Tests that the engines agree, and that OpenVINO sends nothing off the machine."""

import importlib.metadata
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.network import backbone, inference
from graftline.network.inference import Engine
from graftline.settings.training import Model, Prefix

SIZE = 64


@pytest.fixture(scope="module")
def prefix() -> keras.Model:
    model = Model(weights="none", image_size=SIZE, fine_tune_at="block_6_expand")
    keras.utils.set_random_seed(1)
    base = backbone.build(model, None)
    return backbone.prefix(base, model, backbone.cut(base, model.fine_tune_at))


@pytest.mark.parametrize("engine", ["tensorflow", "openvino"])
@pytest.mark.parametrize("batch", [1, 8])
def test_engines_give_what_keras_gives(prefix: keras.Model, engine: str, batch: int) -> None:
    images = np.random.default_rng(0).uniform(-1, 1, (batch, SIZE, SIZE, 3)).astype("float32")
    outputs = inference.compile_prefix(prefix, Engine(engine, "float32"))(images)
    for output, expected in zip(outputs, prefix(images, training=False), strict=True):
        assert output.dtype == np.float32
        assert np.abs(output - expected).max() <= 1e-5 * np.abs(expected).max()


def test_auto_is_openvino_in_float32_on_a_cpu_and_tensorflow_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert inference.choose(Prefix()) == Engine("openvino", "float32")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert inference.choose(Prefix()) == Engine("tensorflow", "float32")


def test_bfloat16_where_there_is_none_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "has_bfloat16", lambda: False)
    for engine in ("tensorflow", "openvino"):
        with pytest.raises(UserError, match=f"{engine} on this processor does not support it; set it to auto"):
            inference.choose(Prefix(engine=engine, precision="bfloat16"))


def test_a_missing_openvino_is_told_with_its_cure_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference.importlib.util, "find_spec", lambda name: None)
    assert inference.choose(Prefix()).name == "tensorflow"
    with pytest.raises(UserError, match="OpenVINO is not installed; set it to auto or tensorflow"):
        inference.choose(Prefix(engine="openvino"))


def test_openvinos_telemetry_is_not_installed() -> None:
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("openvino-telemetry")
    assert "openvino-telemetry" not in (PROJECT / "requirements.lock").read_text()


WATCHED = """
import sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(event) if event.startswith("socket.") else None)
import openvino
openvino.Core()
print(sorted(set(opened)))
"""


def test_importing_the_engine_opens_no_connection_and_writes_nothing_to_the_home_folder(tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert list(tmp_path.iterdir()) == []


def test_the_watch_of_connections_sees_one() -> None:
    seen = WATCHED.replace("import openvino\nopenvino.Core()", "import socket\nsocket.socket().close()")
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True)
    assert socket.socket.__name__ == "socket"
    assert "socket.__new__" in done.stdout
