"""What the Trainer keeps of a training, beside the curves."""

HISTORY_FILE = "history.json"
