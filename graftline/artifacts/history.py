"""What the Trainer stores about a training, besides the curves."""

from typing import Any

HISTORY_FILE = "history.json"


def taken(phase: dict[str, Any]) -> str:
    """Returns, in words, which epoch's weights the network had after a phase."""
    return "epoch {epoch} of phase {phase}".format(**phase["weights_of"])
