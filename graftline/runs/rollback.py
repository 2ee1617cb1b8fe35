"""Takes the model in production back: `graftline rollback --data … --reason "…"`.

It republishes the previous good model as a new, higher version, because model servers take the highest. `pushes.jsonl`, next
to the versions, records who did it, when and why. There the next run finds the models to compare its candidate with.
"""

from graftline.base.errors import UserError
from graftline.runs import lock
from graftline.serving import versions
from graftline.serving.pushes import Push
from graftline.settings.settings import Settings


def roll_back(settings: Settings, why: str) -> Push:
    """Republishes the previous good model.

    Args:
      settings: the pipeline's settings.
      why: the reason.

    Raises:
      UserError: if no reason is given, there is no version to go back to, or a push is going on.
    """
    if not why.strip():
        raise UserError("--reason is empty: say why you roll the model back.")
    with lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS):
        push = versions.roll_back(settings.push_dir, why)
        versions.prune(settings.push_dir, settings.run.keep_versions)
    return push
