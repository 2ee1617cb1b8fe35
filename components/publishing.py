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
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from settings import UserError

PUSHES = "pushes.jsonl"
ASIDE = ".aside-"  # folders that are being written or removed; model servers look at numbers alone


@dataclass(frozen=True)
class Push:
    """One line of `pushes.jsonl`.

    Attributes:
      version: name of the folder.
      digest: sha256 over the model's files.
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
    known = [push for push in pushes(directory) if present and push.version == present[-1]]
    return known[-1] if known else None


def publish(model: Path, directory: Path, model_id: int, why: str = "push", withdrawn: int | None = None) -> Push:
    """Makes a model the version in production; one that already is stays as it is.

    It is copied aside on the same file system, flushed to the disk, told in `pushes.jsonl`, and renamed: a reader sees all
    of it or nothing, whenever this process is killed.

    Args:
      model: folder of a SavedModel.
      directory: the serving directory.
      model_id: id of the Model artifact.
      why: the reason.
      withdrawn: the version that a rollback replaces.
    """
    directory.mkdir(parents=True, exist_ok=True)
    _sweep(directory)
    digest, current = _digest(model), production(directory)
    if current is not None and current.digest == digest:
        return current
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=directory))
    try:
        shutil.copytree(model, aside / "model")
        _flush(aside / "model")
        return _rename(aside / "model", directory, digest, model_id, why, withdrawn)
    finally:
        shutil.rmtree(aside)


def _rename(copy: Path, directory: Path, digest: str, model_id: int, why: str, withdrawn: int | None) -> Push:
    """Turns a flushed copy into the highest version."""
    taken = [*versions(directory), *(push.version for push in pushes(directory))]
    version = max([int(time.time()), *(number + 1 for number in taken)])
    push = Push(version, digest, model_id, why, getpass.getuser(), datetime.now(UTC).isoformat(), withdrawn)
    _note(directory, push)
    copy.rename(directory / str(version))
    _flush_folder(directory)
    return push


def roll_back(directory: Path, why: str) -> Push:
    """Publishes the good version before the one in production again, as a new and higher one.

    Args:
      directory: the serving directory.
      why: the reason.

    Raises:
      UserError: where there is no version to go back to.
    """
    current = production(directory)
    if current is None:
        raise UserError(f"Nothing is served from {directory}: push a model first.")
    told = pushes(directory)
    of = {push.version: push.digest for push in told}
    bad = {current.digest} | {of[push.withdrawn] for push in told if push.withdrawn in of}
    present = set(versions(directory))
    good = [push for push in told if push.version in present and push.digest not in bad]
    if not good:
        raise UserError(
            f"No version before {current.version} is left in {directory}: train a better model and push it, "
            "or raise run.keep_versions for the next time."
        )
    return publish(directory / str(good[-1].version), directory, good[-1].model_id, why, current.version)


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


def _sweep(directory: Path) -> None:
    """Removes what a killed process has left."""
    for path in directory.glob(f"{ASIDE}*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _digest(model: Path) -> str:
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


def _note(directory: Path, push: Push) -> None:
    aside = directory / f"{ASIDE}{PUSHES}"
    with aside.open("w") as file:
        file.writelines(json.dumps(asdict(line)) + "\n" for line in [*pushes(directory), push])
        file.flush()
        os.fsync(file.fileno())
    aside.replace(directory / PUSHES)
