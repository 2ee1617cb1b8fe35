"""The configuration that Trainer and Tuner hand to their functions, `custom_config`."""

from pathlib import Path
from typing import Any

from graftline.settings.training import Model, Prefix, Training


def custom_config(model: Model, prefix: Prefix, training: Training, work_dir: Path) -> dict[str, Any]:
    """Returns it: sections of the settings as dictionaries, and where features and checkpoints are kept."""
    sections = {"model": model, "prefix": prefix, "training": training}
    return {name: section.model_dump(mode="json") for name, section in sections.items()} | {"work_dir": str(work_dir)}
