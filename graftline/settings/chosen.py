"""Chooses the data that a command acts on: what is given, what is exported, what ran last, or the digits."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from graftline.base.errors import SettingsError, did_you_mean
from graftline.base.paths import CONFIGS, FOLDER_PREFIX, TFDS_PREFIX, absolute, aside, from_here
from graftline.settings.load import CONFIG_VARIABLE, DEFAULT, PHOTOS, config_path, is_verbatim, names, variable
from graftline.settings.settings import Run
from graftline.sources.kinds import is_given_alone, source_of

LAST_RUN = "last_run"  # file in `run.root` with the GRAFTLINE_CONFIG of that run
TFDS_NAME = re.compile(r"[a-z]\w*(:[\d.*]+)?")


@dataclass(frozen=True)
class Chosen:
    """The data that a command acts on.

    Attributes:
      config: the data as a value of GRAFTLINE_CONFIG.
      why: why it was chosen.
    """

    config: str
    why: str


def choose(data: str | None, of_last_run: bool) -> Chosen:
    """Returns the data that a command acts on.

    Args:
      data: the data given to the command; None if there is none.
      of_last_run: whether the command looks at, or uses, what a run made.

    Raises:
      SettingsError: if no such data exists.
    """
    if data is not None:
        return Chosen(spelled(data), "as given")
    if exported := os.environ.get(CONFIG_VARIABLE):
        return Chosen(exported, f"from {CONFIG_VARIABLE}")
    if of_last_run and (last := _last()):
        return Chosen(last, "the data of the last run")
    return Chosen(DEFAULT, "no data was given")


def spelled(data: str) -> str:
    """Returns data that a person names as a value of GRAFTLINE_CONFIG.

    A name with a slash is a folder or a file. Any other name is a configuration if there is one, else a folder or file, else
    a TFDS set.

    Args:
      data: a folder of photos, the name of a TFDS set, or a configuration.

    Raises:
      SettingsError: if it is none of these.
    """
    if is_verbatim(data) or data in names():
        return data
    try:
        path = from_here(data)
    except ValueError as error:
        raise SettingsError(f"{data!r}: {error}.") from None
    if data.strip() and path.is_dir():
        return f"{FOLDER_PREFIX}{path}"
    if path.is_file():
        return str(path)
    if "/" in data:
        raise SettingsError(f"There is no folder or file {path}: give a folder of photos with one folder per class.")
    if TFDS_NAME.fullmatch(data) and data != PHOTOS:
        return f"{TFDS_PREFIX}{data}"
    raise SettingsError(
        f"{data!r} is not a folder, a TensorFlow Datasets name or a configuration: {did_you_mean(data, names())}"
    )


def shown(config: str) -> str:
    """Returns a value of GRAFTLINE_CONFIG as a person would give it to a command."""
    return config.removeprefix(FOLDER_PREFIX).removeprefix(TFDS_PREFIX)


def remember(root: Path) -> None:
    """Records the data of this run in a form that works from any folder; in a pod, records nothing.

    Args:
      root: `run.root`.
    """
    config = os.environ.get(CONFIG_VARIABLE) or DEFAULT
    if config.startswith("{"):
        return
    if is_given_alone(config):
        dataset, _ = source_of(config).alone()
        config = dataset if is_given_alone(dataset) else source_of(config).argument()
    elif config not in names():
        config = str(config_path().absolute())
    path = root / LAST_RUN
    path.parent.mkdir(parents=True, exist_ok=True)
    written = aside(path)
    written.write_text(config, errors="surrogateescape")
    written.replace(path)


def _last() -> str:
    """Returns the data of the last run; empty if it is unknown or no longer exists."""
    path = absolute(Path(os.environ.get(variable("run.root")) or Run.model_fields["root"].default)) / LAST_RUN
    config = path.read_text(errors="surrogateescape").strip() if path.is_file() else ""
    known = is_verbatim(config) or (CONFIGS / f"{config}.yaml").is_file() or Path(config).is_file()
    return config if config and known else ""
