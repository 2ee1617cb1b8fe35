"""Pushes the model of a run that the gate has refused, because a person says so: `graftline push RUN --reason "…"`.

`pushes.jsonl` next to the versions, the card that travels with the model, and `graftline runs` say who did it, when and why.
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
    """Puts the model of a run into production, as a new version.

    Args:
      settings: the pipeline's settings.
      name: number or id of the run, or latest.
      why: the reason.

    Raises:
      UserError: if no reason is given, there is no such run, its model is gone or already in production, or another push is
        going on.
    """
    if not why.strip():
        raise UserError("--reason is empty: say why the model is pushed although the gate refused it.")
    run = history.find(settings, history.read(settings), name)
    model = _model(run)
    with lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS), tempfile.TemporaryDirectory() as folder:
        digest, served = pushes.digest(model), versions.production(settings.push_dir)
        if served and served.digest == digest:
            raise UserError(
                f"The model of run {run.number} is already in production, as version {served.version}: there is nothing to "
                "push."
            )
        cards = [_with_reason(card, Path(folder), why) for card in history.cards(run)]
        push = versions.publish(model, settings.push_dir, _judged(run, why), cards)
        versions.prune(settings.push_dir, settings.run.keep_versions)
    return push


def _model(run: Run) -> Path:
    artifact = run.output(store.MODEL)
    if artifact is None or not Path(artifact.uri).is_dir():
        raise UserError(f"Run {run.number} has no model, or it was removed: choose another run from `graftline runs`.")
    return versions.find(Path(artifact.uri))


def _judged(run: Run, why: str) -> Push:
    """Returns the entry of the push in `pushes.jsonl`: what the Pusher would write, and why a person pushed it."""
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
        said = f"## Pushed by a person\n\n{who} pushed this model on {when}, regardless of the gate's verdict: {why}\n"
        copy.write_text(f"{card.read_text().rstrip()}\n\n{said}")
    return copy
