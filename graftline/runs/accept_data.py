"""Accepts data that DataGate refused: `graftline accept-data --reason "…"`."""

from datetime import UTC, datetime

from graftline.artifacts import data_review
from graftline.artifacts.data_review import Acceptance
from graftline.base.errors import UserError
from graftline.base.states import State
from graftline.runs import store
from graftline.serving import pushes
from graftline.settings.settings import Settings


def accept_data(settings: Settings, why: str) -> Acceptance:
    """Records that a person accepts the data of the latest run; the next run on exactly this data continues.

    Args:
      settings: the pipeline's settings.
      why: the reason.

    Raises:
      UserError: if no reason is given, or DataGate did not stop the latest run.
    """
    if not why.strip():
        raise UserError("--reason is empty: say why the data is right.")
    with store.opened(settings) as opened:
        runs = store.runs(opened, settings.name, last=1)
    stopped = runs[0].node(store.REVIEW.node) if runs else None
    statistics = runs[0].output(store.STATISTICS) if runs else None
    if stopped is None or stopped.state != State.FAILED or statistics is None:
        raise UserError(
            f"DataGate did not stop the latest run of {settings.name}, so there is nothing to accept: "
            "`graftline runs` shows how each run ended."
        )
    when = datetime.now(UTC).isoformat(timespec="seconds")
    acceptance = Acceptance(data_review.identity(statistics.uri), pushes.user(), when, why)
    data_review.accept(settings.accepted_data, acceptance)
    return acceptance
