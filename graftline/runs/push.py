"""Pushes the model of a run that the gate has refused, because a person says so: `graftline push RUN --reason "…"`.

Who did it, when and why is told in `pushes.jsonl` beside the versions, in the card that travels with the model, and by
`graftline runs`.
"""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from graftline.artifacts import push as noted
from graftline.base.errors import UserError
from graftline.runs import history, lock, store
from graftline.runs.store import Run
from graftline.serving import pushes, versions
from graftline.serving.pushes import Push
from graftline.settings.settings import Settings


def push(settings: Settings, name: str, why: str) -> Push:
    """Makes the model of a run the version in production.

    Args:
      settings: those of the pipeline.
      name: number or id of the run, or latest.
      why: the reason.

    Raises:
      UserError: where no reason is given, there is no such run or nothing left of its model, it is in production already,
        or a push is going on.
    """
    if not why.strip():
        raise UserError("--reason is empty: say why the model is pushed although the gate refused it.")
    run = history.find(settings, history.read(settings), name)
    model = _model(run)
    with lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS), tempfile.TemporaryDirectory() as folder:
        digest, served = pushes.digest(model), versions.production(settings.push_dir)
        if served and served.digest == digest:
            raise UserError(f"The model of run {run.number} is in production already, as version {served.version}.")
        cards = [_with_reason(card, Path(folder), why) for card in history.cards(run)]
        push = versions.publish(model, settings.push_dir, _judged(run, why), cards)
        versions.prune(settings.push_dir, settings.run.keep_versions)
    return push


def _model(run: Run) -> Path:
    artifact = run.output(store.MODEL)
    if artifact is None or not Path(artifact.uri).is_dir():
        raise UserError(f"Nothing is left of a model of run {run.number}: choose another, of `graftline runs`.")
    return versions.find(Path(artifact.uri))


def _judged(run: Run, why: str) -> Push:
    """Returns what `pushes.jsonl` tells of the push: as of one by the Pusher, and who wanted it."""
    blessing = run.output(store.BLESSING)
    known = blessing.custom_properties if blessing else {}
    accuracy = known[noted.ACCURACY].double_value if noted.ACCURACY in known else 0.0
    opponents = json.loads(known[noted.OPPONENTS].string_value or "{}") if noted.OPPONENTS in known else {}
    return Push(0, "", why=why, accuracy=accuracy, opponents=opponents, run=run.id)


def _with_reason(card: Path, folder: Path, why: str) -> Path:
    """Returns a copy of a card that says who pushed the model, and why."""
    who, when = pushes.user(), f"{datetime.now(UTC):%Y-%m-%d}"
    copy = folder / card.name
    if card.suffix == ".json":
        told = json.loads(card.read_text()) | {"pushed_by": {"who": who, "when": when, "why": why}}
        copy.write_text(json.dumps(told, indent=1))
    else:
        said = f"## Pushed by a person\n\n{who} pushed this model on {when}, whatever the gate said of it: {why}\n"
        copy.write_text(f"{card.read_text().rstrip()}\n\n{said}")
    return copy
