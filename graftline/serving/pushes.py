"""The record of the versions in a serving directory: `pushes.jsonl` says what each is and why it is there.

A model is known by its digest, which is the same wherever its files are. Ids of a metadata store mean nothing in another
store.
"""

import functools
import getpass
import hashlib
import json
import logging
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from graftline.artifacts.examples import EXTRA, LABEL_NAMES_FILE
from graftline.base.paths import aside

PUSHES = "pushes.jsonl"
BY_HAND = "copied in by hand"  # the reason given for a version that nobody pushed


@dataclass(frozen=True)
class Push:
    """One line of `pushes.jsonl`.

    Attributes:
      version: number of the version, the name of its folder.
      digest: the model's, see `digest`.
      why: push, or the reason for a rollback, or a person's for pushing what the gate refused.
      who: the user's name; empty if unknown.
      when: ISO time in UTC.
      accuracy: on the test split on which it was judged; 0 if it was not judged.
      opponents: digests of the models that it was compared with, by their role at the time.
      withdrawn: the version that a rollback replaced; None for a push.
      run: id of the run whose model a person pushed; otherwise empty.
    """

    version: int
    digest: str
    why: str = "push"
    who: str = ""
    when: str = ""
    accuracy: float = 0.0
    opponents: dict[str, str] = field(default_factory=dict)
    withdrawn: int | None = None
    run: str = ""


def digest(model: Path) -> str:
    """Returns a sha256 over names and contents of the files that decide a model's answers: graph, weights, class names.

    Other files in the folder, such as the model card and warm-up requests, do not count.

    Args:
      model: folder of a SavedModel.
    """
    found = hashlib.sha256()
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        name = path.relative_to(model)
        if name.parts[0] == EXTRA and path.name != LABEL_NAMES_FILE:
            continue
        found.update(f"{name}\n".encode())
        with path.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def read(directory: Path) -> list[Push]:
    """Returns the recorded pushes, in their order; warns of damaged lines and skips them."""
    found = _parsed(directory)
    for line in found:
        if isinstance(line, str):
            _warn(directory / PUSHES, line)
    return [line for line in found if isinstance(line, Push)]


def _parsed(directory: Path) -> list[Push | str]:
    """Returns the push of each line, or the line itself if it is damaged."""
    path = directory / PUSHES
    lines = path.read_text(errors="surrogateescape").split("\n") if path.is_file() else []
    return [_push(line) or line for line in lines if line.strip()]


def _push(line: str) -> Push | None:
    known = {one.name for one in fields(Push)}  # another version of Graftline may have written the line
    try:
        push = Push(**{name: value for name, value in json.loads(line).items() if name in known})
    except (ValueError, TypeError, AttributeError):
        return None
    kinds = {
        "version": int,
        "digest": str,
        "why": str,
        "who": str,
        "when": str,
        "accuracy": int | float,
        "opponents": dict,
    }
    sound = all(isinstance(getattr(push, name), kind) for name, kind in kinds.items())
    return push if sound and isinstance(push.withdrawn, int | None) else None


@functools.cache
def _warn(path: Path, line: str) -> None:
    logging.getLogger("absl").warning(
        "%s has a damaged line, which is ignored; correct or delete it: %a", path, line[:80]
    )


def write(directory: Path, history: Iterable[Push]) -> None:
    """Replaces the recorded pushes; damaged lines stay, before the others, for a person to fix."""
    damaged = [line for line in _parsed(directory) if isinstance(line, str)]
    written = aside(directory / PUSHES)
    with written.open("w", errors="surrogateescape") as file:
        file.writelines(f"{line}\n" for line in damaged)
        file.writelines(json.dumps(asdict(push)) + "\n" for push in history)
        file.flush()
        os.fsync(file.fileno())
    written.replace(directory / PUSHES)


def of_version(directory: Path, version: int) -> Push:
    """Returns the push of a version that is there; for one that nobody pushed, what its files say.

    Args:
      directory: the serving directory.
      version: number of a version in it.
    """
    folder = directory / str(version)
    found = digest(folder)
    told = [push for push in read(directory) if (push.version, push.digest) == (version, found)]
    changed = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
    return told[-1] if told else Push(version, found, BY_HAND, when=changed)


def withdrawals(directory: Path) -> dict[str, Push]:
    """Returns rollbacks by the digest of the withdrawn model, except for models that a person has pushed since."""
    history = read(directory)
    told = {push.version: push.digest for push in history}
    found: dict[str, Push] = {}
    for push in history:
        if push.withdrawn in told:
            folder = directory / str(push.withdrawn)
            found[told[push.withdrawn]] = push
            if folder.is_dir():  # an earlier version of Graftline may have recorded another digest
                found[digest(folder)] = push
        elif push.run:
            found.pop(push.digest, None)
    return found


def user() -> str:
    """Returns the user's name; the user id if the system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
