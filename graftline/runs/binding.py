"""A name belongs to the data that it first ran with: another dataset's models would be pushed over those in production."""

from pathlib import Path

from graftline.base.errors import UserError
from graftline.base.paths import FOLDER_PREFIX, absolute, aside
from graftline.settings.data import Data
from graftline.settings.settings import Settings

DATASET = "dataset"  # file beside the versions; model servers look at numbers alone


def bind(settings: Settings) -> None:
    """Binds the name of a pipeline to its dataset, as this machine sees it, by a file beside its versions.

    Args:
      settings: those of the pipeline; with `run.adopt` the name is bound anew.

    Raises:
      UserError: where the name belongs to another dataset.
    """
    path, dataset = settings.push_dir / DATASET, _dataset(settings.data)
    bound = path.read_text().rstrip("\n") if path.is_file() else None
    if bound == dataset:
        return
    if bound is not None and not settings.run.adopt:
        raise UserError(
            f"The name {settings.name} belongs to the dataset {bound}, and this run has {dataset}: give the configuration "
            "another name, or --adopt (run.adopt) where these are the same data in another place."
        )
    settings.push_dir.mkdir(parents=True, exist_ok=True)
    written = aside(path)
    written.write_text(f"{dataset}\n")
    written.replace(path)


def _dataset(data: Data) -> str:
    """Returns the name of a dataset; of a folder with its whole path, and with that of a table of its classes."""
    name, folder = data.dataset, data.dataset.removeprefix(FOLDER_PREFIX)
    if folder == name:
        return name
    table = f" with {absolute(data.labels).resolve()}" if data.labels else ""
    return f"{FOLDER_PREFIX}{absolute(Path(folder)).resolve()}{table}"
