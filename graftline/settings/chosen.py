"""Which data a command is about: what is given, what is exported, what ran last, or the digits."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from graftline.base.errors import SettingsError, did_you_mean
from graftline.base.paths import CONFIGS, FOLDER_PREFIX, TFDS_PREFIX, absolute, aside, from_here
from graftline.settings.load import CONFIG_VARIABLE, DEFAULT, PHOTOS, config_path, is_verbatim, names, variable
from graftline.settings.settings import Run
from graftline.sources.kinds import is_given_alone, source_of

LAST_RUN = "last_run"  # file in `run.root`, with what GRAFTLINE_CONFIG was then
TFDS_NAME = re.compile(r"[a-z]\w*(:[\d.*]+)?")


@dataclass(frozen=True)
class Chosen:
    """What a command is about.

    Attributes:
      config: as GRAFTLINE_CONFIG has it.
      why: who chose it.
    """

    config: str
    why: str


def choose(data: str | None, of_last_run: bool) -> Chosen:
    """Returns what a command is about.

    Args:
      data: what was given to it; None where nothing was.
      of_last_run: whether it looks at, or uses, what a run has made.

    Raises:
      SettingsError: where what is given is no data.
    """
    if data is not None:
        return Chosen(spelled(data), "as given")
    if exported := os.environ.get(CONFIG_VARIABLE):
        return Chosen(exported, f"{CONFIG_VARIABLE} says so")
    if of_last_run and (last := _last()):
        return Chosen(last, "the data of the last run")
    return Chosen(DEFAULT, "no data was given")


def spelled(data: str) -> str:
    """Returns data that a person names, as GRAFTLINE_CONFIG has it.

    A name with a slash in it is a folder's or a file's; another is a configuration's before it is a folder's, and a folder's
    before it is one of TensorFlow Datasets.

    Args:
      data: a folder of photos, the name of a TFDS set, or a configuration.

    Raises:
      SettingsError: where it is none of these.
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
    """Returns what GRAFTLINE_CONFIG holds, as it is given to a command."""
    return config.removeprefix(FOLDER_PREFIX).removeprefix(TFDS_PREFIX)


def remember(root: Path) -> None:
    """Keeps what this run is about, as it can be found from any folder; what a pod runs is not kept.

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
    """Returns what the last run was about; empty where that is not known, or not there any more."""
    path = absolute(Path(os.environ.get(variable("run.root")) or Run.model_fields["root"].default)) / LAST_RUN
    config = path.read_text(errors="surrogateescape").strip() if path.is_file() else ""
    known = is_verbatim(config) or (CONFIGS / f"{config}.yaml").is_file() or Path(config).is_file()
    return config if config and known else ""
