"""Binds a name to the data that it first ran with, so that no other dataset's model replaces the one in production."""

from pathlib import Path

from graftline.base.errors import UserError
from graftline.base.paths import FOLDER_PREFIX, absolute, aside
from graftline.settings.data import Data
from graftline.settings.settings import Settings

DATASET = "dataset"  # file next to the versions; model servers only look at numbers


def bind(settings: Settings) -> None:
    """Binds the name of a pipeline to its dataset, as this machine sees it, with a file next to its versions.

    Args:
      settings: the pipeline's settings; with `run.adopt` the name is bound again.

    Raises:
      UserError: if the name belongs to another dataset.
    """
    path, dataset = settings.push_dir / DATASET, _dataset(settings.data)
    bound = path.read_text().rstrip("\n") if path.is_file() else None
    if bound == dataset:
        return
    if bound is not None and not settings.run.adopt:
        raise UserError(
            f"The name {settings.name} belongs to the dataset {bound}, but this run uses {dataset}: give the configuration "
            "another name or, if this is the same data in another place, run once with --adopt (run.adopt)."
        )
    settings.push_dir.mkdir(parents=True, exist_ok=True)
    written = aside(path)
    written.write_text(f"{dataset}\n")
    written.replace(path)


def _dataset(data: Data) -> str:
    """Returns the name of a dataset; for a folder, its whole path, and that of its table of classes if it has one."""
    name, folder = data.dataset, data.dataset.removeprefix(FOLDER_PREFIX)
    if folder == name:
        return name
    table = f" with {absolute(data.labels).resolve()}" if data.labels else ""
    return f"{FOLDER_PREFIX}{absolute(Path(folder)).resolve()}{table}"
