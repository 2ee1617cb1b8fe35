"""The `custom_config` that the Trainer and the Tuner pass to their functions."""

from pathlib import Path
from typing import Any

from graftline.settings.training import Model, Prefix, Training


def custom_config(model: Model, prefix: Prefix, training: Training, work_dir: Path) -> dict[str, Any]:
    """Returns the sections of the settings as dictionaries, and the folder of features and checkpoints."""
    sections = {"model": model, "prefix": prefix, "training": training}
    return {name: section.model_dump(mode="json") for name, section in sections.items()} | {"work_dir": str(work_dir)}
