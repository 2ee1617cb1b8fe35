"""The serving directory: one folder per version, in the layout of model servers; each is complete once it is visible.

Model servers take the highest number, so version numbers only grow, and the latest is in production. `pushes` records them.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from graftline.artifacts.examples import EXTRA
from graftline.base import stop
from graftline.base.errors import UserError
from graftline.base.paths import copy_tree, in_use
from graftline.serving import pushes
from graftline.serving.pushes import Push

SAVED_MODEL, SERVING_FORMAT = "saved_model.pb", "Format-Serving"  # TensorFlow's file, and TFX's folder for it
ASIDE = ".aside-"  # prefix of folders being written or removed; model servers look only at numbers
PRODUCTION, BEST = "production", "best"  # what a candidate is compared with: the served model, and the best ever


class OvertakenError(UserError):
    """The model in production is not the one that a candidate was compared with."""


def find(place: Path) -> Path:
    """Returns the folder of a SavedModel.

    Args:
      place: that folder, a Model artifact of TFX, or a folder of versions, of which the highest is taken.

    Raises:
      UserError: if there is no model.
    """
    if (place / SAVED_MODEL).is_file():
        return place
    if (place / SERVING_FORMAT).is_dir():
        return find(place / SERVING_FORMAT)
    present = [folder for number in _numbers(place) if _holds_model(folder := place / str(number))]
    if not present:
        raise UserError(
            f"There is no model in {place}: give the folder of a SavedModel, or one that holds its versions; "
            "`graftline run` pushes one if it is good enough."
        )
    return find(present[-1])


def _holds_model(folder: Path) -> bool:
    return (folder / SAVED_MODEL).is_file() or (folder / SERVING_FORMAT).is_dir()


def versions(directory: Path) -> list[int]:
    """Returns the versions that a model server would serve, lowest first."""
    return [number for number in _numbers(directory) if (directory / str(number) / SAVED_MODEL).is_file()]


def _numbers(directory: Path) -> list[int]:
    """Returns the names in a folder that are numbers, lowest first."""
    return sorted(int(path.name) for path in directory.glob("[0-9]*") if path.name.isdigit())


def production(directory: Path) -> Push | None:
    """Returns the push of the version in production, even if nobody pushed it; None if nothing is served."""
    present = versions(directory)
    return pushes.of_version(directory, present[-1]) if present else None


def served(directory: Path) -> str:
    """Returns the digest of the model in production; empty if there is none."""
    push = production(directory)
    return push.digest if push else ""


def best(directory: Path) -> Push | None:
    """Returns the push of the most accurate model that was ever in production, is still there and was not withdrawn.

    A version whose files no longer match the recorded digest does not count.
    """
    present, bad = set(versions(directory)), pushes.withdrawals(directory)
    good = [push for push in pushes.read(directory) if push.version in present and push.digest not in bad]
    good.sort(key=lambda push: (push.accuracy, push.version), reverse=True)
    return next((push for push in good if pushes.digest(directory / str(push.version)) == push.digest), None)


def opponents(directory: Path, candidate: str) -> dict[str, str]:
    """Returns the digests of the models that a candidate is compared with, by their role.

    A candidate that is in production already keeps the opponents that it had before.

    Args:
      directory: the serving directory.
      candidate: the candidate's digest.
    """
    current = production(directory)
    if current is None:
        return {}
    if current.digest == candidate:
        return current.opponents
    top = best(directory)
    others = {BEST: top.digest} if top and top.digest not in (current.digest, candidate) else {}
    return {PRODUCTION: current.digest} | others


def folder_of(directory: Path, digest: str) -> Path | None:
    """Returns the folder of the latest version of a model; None if there is none.

    Args:
      directory: the serving directory.
      digest: the model's.
    """
    folders = (directory / str(version) for version in reversed(versions(directory)))
    return next((folder for folder in folders if pushes.digest(folder) == digest), None)


def publish(model: Path, directory: Path, judged: Push | None = None, extras: Iterable[Path] = ()) -> Push:
    """Makes a model the version in production; if it already is, its version stays as it is, whatever else has changed.

    The model is copied aside on the same file system, flushed to disk, recorded in `pushes.jsonl`, and renamed: a reader
    sees all of it or nothing, even if this process is killed.

    Args:
      model: folder of a SavedModel.
      directory: the serving directory.
      judged: its accuracy and opponents, if it was judged.
      extras: files that go with it, such as the model card.
    """
    _ready(directory)
    digest, current = pushes.digest(model), production(directory)
    if current is not None and current.digest == digest:
        return current
    return _put(model, list(extras), directory, replace(judged or Push(0, ""), digest=digest))


def _ready(directory: Path) -> None:
    """Makes the directory, and removes the leftovers of killed processes; recent ones may belong to another push."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in [*directory.glob(f"{ASIDE}*"), *directory.glob(f"{pushes.PUSHES}-*.tmp")]:
        if not in_use(path):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _put(model: Path, extras: list[Path], directory: Path, push: Push) -> Push:
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=directory))
    try:
        copy_tree(model, aside / "model")
        for path in extras:
            (aside / "model" / EXTRA).mkdir(exist_ok=True)
            shutil.copyfile(path, aside / "model" / EXTRA / path.name)
        _flush(aside / "model")
        return _rename(aside / "model", directory, push)
    finally:
        shutil.rmtree(aside)


def _rename(copy: Path, directory: Path, push: Push) -> Push:
    """Turns a flushed copy into the highest version, as long as this process may publish."""
    stop.heed()
    taken = [*_numbers(directory), *(push.version for push in pushes.read(directory))]
    version = max([int(time.time()), *(number + 1 for number in taken)])
    push = replace(push, version=version, who=pushes.user(), when=datetime.now(UTC).isoformat())
    pushes.write(directory, [*pushes.read(directory), push])
    target = directory / str(version)
    try:
        copy.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        # Another push, which holds no lock, was first
        pushes.write(directory, [other for other in pushes.read(directory) if other != push])
        return _rename(copy, directory, push)
    _flush_folder(directory)
    return push


def roll_back(directory: Path, why: str) -> Push:
    """Republishes the previous good model as a new, higher version.

    Args:
      directory: the serving directory.
      why: the reason for the rollback.

    Raises:
      UserError: if there is no version to go back to.
    """
    _ready(directory)
    current = production(directory)
    if current is None:
        raise UserError(f"Nothing is served from {directory}: push a model first.")
    bad = {current.digest, *pushes.withdrawals(directory)}
    present = [pushes.of_version(directory, version) for version in versions(directory)]
    good = [push for push in present if push.digest not in bad]
    if not good:
        raise UserError(
            f"{directory} has no good version before {current.version} to go back to: train a better model and push it, "
            "and raise run.keep_versions for the next time."
        )
    if current not in pushes.read(directory):
        pushes.write(directory, [*pushes.read(directory), current])
    # With everything in its folder
    return _put(directory / str(good[-1].version), [], directory, replace(good[-1], why=why, withdrawn=current.version))


def prune(directory: Path, keep: int) -> None:
    """Removes all versions except the latest ones and the best one; each disappears as a whole.

    Args:
      directory: the serving directory.
      keep: how many of the latest stay.
    """
    top = best(directory)
    for version in versions(directory)[:-keep]:
        if top and version == top.version:
            continue
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=directory))
        (directory / str(version)).rename(aside / "version")
        shutil.rmtree(aside)


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
