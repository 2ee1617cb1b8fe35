"""What is known of the versions in a serving directory: `pushes.jsonl` tells of each what it is and why it is there.

A model is known by its digest, which says the same of its files wherever they lie. Ids of a metadata store say nothing in
another one.
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
BY_HAND = "copied in by hand"  # why a version is there that nobody pushed


@dataclass(frozen=True)
class Push:
    """One line of `pushes.jsonl`.

    Attributes:
      version: name of the folder.
      digest: of the model, see `digest`.
      why: push, or the reason of a rollback or of a person who pushed what the gate refused.
      who: the user's name; empty where nobody knows.
      when: ISO time in UTC.
      accuracy: on the test split that it was judged by; 0 where it was judged by none.
      opponents: digests of the models that it was held against, by what they were then.
      withdrawn: the version that a rollback replaced; None for a push.
      run: id of the run whose model a person pushed; empty otherwise.
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
    """Returns a sha256 over the names and contents of what a model answers by: its graph, weights and class names.

    What else lies beside them, such as its card and requests for a warm-up, does not count.

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
    """Returns what is known of the versions that were ever pushed, in that order; a line that is damaged says nothing."""
    found = _parsed(directory)
    for line in found:
        if isinstance(line, str):
            _warn(directory / PUSHES, line)
    return [line for line in found if isinstance(line, Push)]


def _parsed(directory: Path) -> list[Push | str]:
    """Returns the pushes that the lines stand for, and those lines that stand for none as they are."""
    path = directory / PUSHES
    lines = path.read_text(errors="surrogateescape").split("\n") if path.is_file() else []
    return [_push(line) or line for line in lines if line.strip()]


def _push(line: str) -> Push | None:
    known = {one.name for one in fields(Push)}  # a line may be of another revision
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
    logging.getLogger("absl").warning("%s has a damaged line, which was ignored; correct it: %a", path, line[:80])


def write(directory: Path, history: Iterable[Push]) -> None:
    """Replaces what is known of the versions; lines that are damaged stay, before the others, for a person to mend."""
    damaged = [line for line in _parsed(directory) if isinstance(line, str)]
    written = aside(directory / PUSHES)
    with written.open("w", errors="surrogateescape") as file:
        file.writelines(f"{line}\n" for line in damaged)
        file.writelines(json.dumps(asdict(push)) + "\n" for push in history)
        file.flush()
        os.fsync(file.fileno())
    written.replace(directory / PUSHES)


def of_version(directory: Path, version: int) -> Push:
    """Returns what is known of a version that is there; of one that nobody pushed, what its files tell.

    Args:
      directory: the serving directory.
      version: name of a folder in it.
    """
    folder = directory / str(version)
    found = digest(folder)
    told = [push for push in read(directory) if (push.version, push.digest) == (version, found)]
    changed = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
    return told[-1] if told else Push(version, found, BY_HAND, when=changed)


def withdrawals(directory: Path) -> dict[str, Push]:
    """Returns the rollbacks by the digests of the models that they took back, and that no person has pushed since."""
    history = read(directory)
    told = {push.version: push.digest for push in history}
    found: dict[str, Push] = {}
    for push in history:
        if push.withdrawn in told:
            folder = directory / str(push.withdrawn)
            found[told[push.withdrawn]] = push
            if folder.is_dir():  # an earlier revision may have told another digest of it
                found[digest(folder)] = push
        elif push.run:
            found.pop(push.digest, None)
    return found


def user() -> str:
    """Returns the name of who runs this; the number where the system knows no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
