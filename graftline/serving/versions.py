"""The serving directory: a folder a version, each whole before it can be seen, as model servers want it.

Model servers take the highest number, so versions only grow; what is in production is the latest. `pushes.jsonl` in the same
directory tells of each version what it is and why it is there.
"""

import getpass
import hashlib
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from graftline.artifacts.examples import EXTRA
from graftline.artifacts.push import DESTINATION, MODEL_ID, PUSHED, VERSION
from graftline.base import stop
from graftline.base.errors import UserError
from graftline.base.paths import copy_tree, in_use

PUSHES = "pushes.jsonl"
SAVED_MODEL, SERVING_FORMAT = "saved_model.pb", "Format-Serving"  # TensorFlow's file, and TFX's folder for it
ASIDE = ".aside-"  # folders that are being written or removed; model servers look at numbers alone


class OvertakenError(UserError):
    """Another model is in production than the one that a candidate was held against."""


@dataclass(frozen=True)
class Push:
    """One line of `pushes.jsonl`.

    Attributes:
      version: name of the folder.
      digest: sha256 over the model's files, without what was put beside them.
      model_id: the Model artifact's id in the metadata store.
      why: push, or the reason of a rollback.
      who: the user's name.
      when: ISO time in UTC.
      withdrawn: the version that a rollback replaced; None for a push.
    """

    version: int
    digest: str
    model_id: int
    why: str
    who: str
    when: str
    withdrawn: int | None = None


def find(place: Path) -> Path:
    """Returns the folder of a SavedModel.

    Args:
      place: that folder, a Model artifact of TFX, or a folder of versions, of which the highest counts.

    Raises:
      UserError: where there is no model.
    """
    if (place / SAVED_MODEL).is_file():
        return place
    if (place / SERVING_FORMAT).is_dir():
        return find(place / SERVING_FORMAT)
    present = versions(place)
    if not present:
        raise UserError(
            f"There is no model in {place}: give the folder of a SavedModel, or one that holds its versions; `make run` "
            "pushes one where it is good enough."
        )
    return find(place / str(present[-1]))


def versions(directory: Path) -> list[int]:
    """Returns the versions that can be served, lowest first."""
    return sorted(int(path.name) for path in directory.glob("[0-9]*") if path.name.isdigit())


def pushes(directory: Path) -> list[Push]:
    """Returns what is known of the versions that were ever pushed, in that order."""
    path = directory / PUSHES
    lines = path.read_text().splitlines() if path.is_file() else []
    return [Push(**json.loads(line)) for line in lines]


def production(directory: Path) -> Push | None:
    """Returns the push that is being served; None where nothing is."""
    present = versions(directory)
    served = [push for push in pushes(directory) if present and push.version == present[-1]]
    return served[-1] if served else None


def served(directory: Path) -> str:
    """Returns the digest of the model in production; empty where there is none."""
    push = production(directory)
    return push.digest if push else ""


def pushed_as(directory: Path, model_id: int | None) -> str:
    """Returns the digest that a model was pushed with; of the one in production where there is no such model.

    Args:
      directory: the serving directory.
      model_id: id of the Model artifact; None for no model.
    """
    digests = [push.digest for push in pushes(directory) if push.model_id == model_id]
    return digests[-1] if digests else served(directory)


def publish(model: Path, directory: Path, model_id: int, extras: Iterable[Path] = ()) -> Push:
    """Makes a model the version in production; one that already is stays as it is, whatever has changed beside it.

    It is copied aside on the same file system, flushed to the disk, told in `pushes.jsonl`, and renamed: a reader sees all
    of it or nothing, whenever this process is killed.

    Args:
      model: folder of a SavedModel.
      directory: the serving directory.
      model_id: id of the Model artifact.
      extras: files that go with it, such as its card.
    """
    _ready(directory)
    digest, current = model_digest(model), production(directory)
    if current is not None and current.digest == digest:
        return current
    return _put(model, list(extras), directory, digest, model_id, "push", None)


def _ready(directory: Path) -> None:
    """Makes the directory, and removes what a killed process has left in it; what is recent may be another push's."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.glob(f"{ASIDE}*"):
        if not in_use(path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _put(
    model: Path, extras: list[Path], directory: Path, digest: str, model_id: int, why: str, withdrawn: int | None
) -> Push:
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=directory))
    try:
        copy_tree(model, aside / "model")
        for path in extras:
            (aside / "model" / EXTRA).mkdir(exist_ok=True)
            shutil.copyfile(path, aside / "model" / EXTRA / path.name)
        _flush(aside / "model")
        return _rename(aside / "model", directory, digest, model_id, why, withdrawn)
    finally:
        shutil.rmtree(aside)


def _rename(copy: Path, directory: Path, digest: str, model_id: int, why: str, withdrawn: int | None) -> Push:
    """Turns a flushed copy into the highest version, as long as this process may publish."""
    stop.heed()
    taken = [*versions(directory), *(push.version for push in pushes(directory))]
    version = max([int(time.time()), *(number + 1 for number in taken)])
    push = Push(version, digest, model_id, why, getpass.getuser(), datetime.now(UTC).isoformat(), withdrawn)
    _write(directory, [*pushes(directory), push])
    target = directory / str(version)
    try:
        copy.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another push that holds no lock was first
        _write(directory, [other for other in pushes(directory) if other != push])
        return _rename(copy, directory, digest, model_id, why, withdrawn)
    _flush_folder(directory)
    return push


def withdrawn(directory: Path) -> set[str]:
    """Returns the digests of the models that were taken back."""
    history = pushes(directory)
    digests = {push.version: push.digest for push in history}
    return {digests[push.withdrawn] for push in history if push.withdrawn in digests}


def roll_back(directory: Path, why: str) -> Push:
    """Publishes the good version before the one in production again, as a new and higher one.

    Args:
      directory: the serving directory.
      why: the reason.

    Raises:
      UserError: where there is no version to go back to.
    """
    _ready(directory)
    current = production(directory)
    if current is None:
        raise UserError(f"Nothing is served from {directory}: push a model first.")
    bad, present = {current.digest} | withdrawn(directory), set(versions(directory))
    good = [push for push in pushes(directory) if push.version in present and push.digest not in bad]
    if not good:
        raise UserError(
            f"No version before {current.version} is left in {directory}: train a better model and push it, "
            "or raise run.keep_versions for the next time."
        )
    # With all that lies in its folder; its digest is the one it was pushed with, for that is not all of the model's
    again = good[-1]
    return _put(directory / str(again.version), [], directory, again.digest, again.model_id, why, current.version)


def prune(directory: Path, keep: int) -> None:
    """Removes all but the latest versions; each vanishes as a whole.

    Args:
      directory: the serving directory.
      keep: how many stay, 1 or more, so that the one in production does.
    """
    for version in versions(directory)[:-keep]:
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=directory))
        (directory / str(version)).rename(aside / "model")
        shutil.rmtree(aside)


def model_digest(model: Path) -> str:
    """Returns a sha256 over the names and contents of a model's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(model)}\n".encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _flush_folder(path)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(directory: Path, history: list[Push]) -> None:
    """Replaces what is known of the versions."""
    path = directory / f"{ASIDE}{uuid.uuid4().hex}"
    with path.open("w") as file:
        file.writelines(json.dumps(asdict(push)) + "\n" for push in history)
        file.flush()
        os.fsync(file.fileno())
    path.replace(directory / PUSHES)


def properties(directory: Path, push: Push) -> dict[str, int | str]:
    """Returns what is noted on the PushedModel artifact of a push."""
    return {
        PUSHED: 1,
        DESTINATION: str(directory / str(push.version)),
        VERSION: str(push.version),
        MODEL_ID: push.model_id,
    }
