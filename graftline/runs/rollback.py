"""Takes the model in production back: `graftline rollback --data … --reason "…"`.

The good version before it is published again as a new, higher one, for model servers take the highest. Who did it, when and
why is told in `pushes.jsonl`, beside the versions, where the next run finds what its candidate is held against.
"""

from graftline.base.errors import UserError
from graftline.runs import lock
from graftline.serving import versions
from graftline.serving.pushes import Push
from graftline.settings.settings import Settings


def roll_back(settings: Settings, why: str) -> Push:
    """Publishes the version before the one in production again.

    Args:
      settings: those of the pipeline.
      why: the reason.

    Raises:
      UserError: where no reason is given, there is no version to go back to, or a push is going on.
    """
    if not why.strip():
        raise UserError("--reason is empty: say why the model is taken back.")
    with lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS):
        push = versions.roll_back(settings.push_dir, why)
        versions.prune(settings.push_dir, settings.run.keep_versions)
    return push
