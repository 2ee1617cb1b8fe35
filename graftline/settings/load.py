"""Reads the settings of a run from a file and the environment, which overrides it, and reports all mistakes together.

The environment variable GRAFTLINE_CONFIG chooses the file, because the `tfx` command passes no arguments through. It is a
name in `configs/` or a path (`digits` by default), or a dataset with the recipe of `configs/photos.yaml`: `folder:<path>`
for your own photos, or `tfds:<name>`. Environment variables override single keys, with two underscores between levels:
`GRAFTLINE_TRAINING__BATCH_SIZE=64`. Nothing here imports TensorFlow, so mistakes are reported at once.
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from graftline.base.errors import SettingsError, did_you_mean, short
from graftline.base.paths import CONFIGS, HOME_VARIABLE, PREFIX, absolute, from_here
from graftline.base.photos import LATEST
from graftline.settings import recipes
from graftline.settings.data import DATA_IS_HERE
from graftline.settings.section import secrets, section_of
from graftline.settings.settings import Settings
from graftline.sources.kinds import is_given_alone, source_of
from graftline.sources.source import Wanted

CONFIG_VARIABLE = PREFIX + "CONFIG"
LABELS_VARIABLE = PREFIX + "DATA__LABELS"  # set by `graftline run --labels`
DEFAULT = "digits"  # what runs if nothing is chosen
PHOTOS = "photos"  # the recipe for a dataset that is given without a configuration
BEAM_ARGS = "beam_args"
UNTOLD = ("METADATA", "CLUSTER", f"RUN__{BEAM_ARGS.upper()}")  # may be secret, and no result depends on them
SECRET = tuple(secrets(Settings))  # not shown in messages
CURES = {  # by type of pydantic's errors, if their own messages would not help
    "tuple_type": 'is not a list; write one as ["one", "two"]',
    "model_type": "is a section; give keys and values below it; in the environment, give JSON, or single keys after `__`",
    "dict_type": 'is a table; give keys and values; in the environment, give {"key": "value"}',
}
# Kubernetes describes each Service to a pod in variables that begin with its name (pkg/kubelet/envvars/envvars.go)
SERVICE_HOST, SERVICE_PORT = "_SERVICE_HOST", "_SERVICE_PORT"
OF_A_SERVICE = rf"({SERVICE_HOST}|{SERVICE_PORT}(_\w+)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"


def names() -> list[str]:
    """Returns the names of the project's configurations."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != PHOTOS)


def config_path() -> Path:
    """Returns the file that GRAFTLINE_CONFIG names.

    Raises:
      SettingsError: if there is no such file, or it is only the recipe.
    """
    config = os.environ.get(CONFIG_VARIABLE) or DEFAULT
    if is_given_alone(config):
        return CONFIGS / f"{PHOTOS}.yaml"
    if config == PHOTOS:
        raise SettingsError(f"{PHOTOS} is only the recipe for photos: give a folder, as in `graftline run ~/photos`.")
    for path in (CONFIGS / f"{config}.yaml", from_here(config), absolute(Path(config))):
        if path.is_file():
            return path
    raise SettingsError(f"There is no configuration {config!r}: give a path, or one of {', '.join(names())}.")


def load(data_is_here: bool = True) -> Settings:
    """Reads, overrides and checks the settings of this run.

    Args:
      data_is_here: whether a dataset that is a folder must be on this machine.

    Raises:
      SettingsError: with all mistakes, each with its key, its value and the fix.
    """
    token = DATA_IS_HERE.set(data_is_here)
    try:
        return _load()
    finally:
        DATA_IS_HERE.reset(token)


def _load() -> Settings:
    source, values = _read()
    if not isinstance(values, dict):
        raise SettingsError(f"{source} must contain keys and values, such as `name: digits`.")
    problems, sections = _unknown_variables(), set()
    try:
        settings = Settings(**{str(key): value for key, value in values.items()})  # keys in YAML may have other types
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors()]
        sections = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
    except OSError as error:  # for a path that cannot even be looked up
        problems.append(f"{str(error.filename)[:80]!r}: {error.strerror}; give another path")
    if problems:
        told = f"{source}{_changed(sections)} cannot be used:"
        raise SettingsError("\n".join([told, *(f"  {problem}" for problem in problems)]))
    return settings


def load_or_exit(data_is_here: bool = True) -> Settings:
    """Returns the settings of this run, or prints the mistakes on standard error and exits with status 2.

    Args:
      data_is_here: as in `load`.
    """
    try:
        return load(data_is_here)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _read() -> tuple[str, Any]:
    """Returns the source of the settings, for messages, and its content."""
    config = os.environ.get(CONFIG_VARIABLE, "")
    if config.startswith("{"):  # the settings themselves, as pods get them
        return CONFIG_VARIABLE, _parsed(CONFIG_VARIABLE, json.loads, config)
    try:
        path = config_path()
        text = path.read_bytes()  # bytes, because YAML detects the encoding
        dataset, name = source_of(config).alone() if is_given_alone(config) else ("", "")
    except (OSError, ValueError) as error:
        raise SettingsError(f"{CONFIG_VARIABLE} = {config!r} cannot be used: {short(error)}.") from None
    values = _parsed(str(path), yaml.safe_load, text)
    if dataset:
        values |= {"name": name, "data": values["data"] | {"dataset": dataset}}
    shown = dataset.partition(":")[2] if dataset else str(path)
    return shown, _with_recipe(shown, values) if isinstance(values, dict) and recipes.TABLE in values else values


def _with_recipe(source: str, values: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration with the row of its recipes for its number of images."""
    try:
        return recipes.resolved(values, _images(values.get("data")) if DATA_IS_HERE.get() else None)
    except ValueError as error:
        raise SettingsError(f"{source} cannot be used: {error}.") from None


def _images(data: Any) -> int | None:
    """Returns how many images a configuration's data has; None if that is unknown."""
    given = data if isinstance(data, dict) else {}
    table = os.environ.get(LABELS_VARIABLE) or given.get("labels")
    wanted = Wanted(str(given.get("span", LATEST)), labels=Path(table) if table else None)
    try:
        return source_of(str(given.get("dataset", "")), wanted).count()
    except OSError:  # the check of the settings reports what is wrong
        return None


def written() -> dict[str, Any]:
    """Returns what the configuration itself says, without defaults and changes; `load` reports its mistakes."""
    _, values = _read()
    return dict(values)


def _parsed(source: str, parse: Callable[[Any], Any], text: str | bytes) -> Any:
    """Returns the content of a text, which is JSON, or of bytes, which are YAML."""
    try:
        return parse(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        kind = "JSON" if isinstance(text, str) else "YAML"
        raise SettingsError(f"{source} is not valid {kind}; correct this: {error}") from None


def command() -> str:
    """Returns the shell command that repeats this run: its configuration, and what the environment changes in it.

    It leaves out settings that may be secret.
    """
    config, run = os.environ.get(CONFIG_VARIABLE) or DEFAULT, ["run"]
    if config.startswith("{"):  # in a pod
        config, run = json.loads(config)["name"], ["kubeflow", "run", "--data"]
    data = source_of(config).argument() if is_given_alone(config) else config
    changed = [(name, _without_secrets(name, value)) for name, value in sorted(os.environ.items()) if _is_setting(name)]
    told = [f"{key_of(name)}={value}" for name, value in changed if value]
    return shlex.join(["graftline", *run, data, *(word for change in told for word in ("--set", change))])


def _without_secrets(name: str, value: str) -> str:
    """Returns what may be shown of a setting in the environment; empty if nothing may be."""
    setting = name.upper().removeprefix(PREFIX)
    if setting.startswith(UNTOLD):
        return ""
    if setting == "RUN":  # a whole section, as JSON
        value = json.dumps({key: inner for key, inner in json.loads(value).items() if key.lower() != BEAM_ARGS})
    return value


def _is_setting(name: str) -> bool:
    """Returns whether a variable is meant as a setting: not the configuration, the home folder or a Service's address."""
    others = (CONFIG_VARIABLE, HOME_VARIABLE)
    return name.upper().startswith(PREFIX) and name not in others and not _is_service_link(name)


def _changed(sections: set[str]) -> str:
    """Returns which settings of some sections do not come from the file, in words."""
    keys = [key_of(name) for name in sorted(os.environ) if _is_setting(name)]
    changed = [key for key in keys if key.partition(".")[0] in sections]
    return f", with {', '.join(changed)} from the command line or the environment," if changed else ""


def variable(key: str) -> str:
    """Returns the environment variable of a setting, such as `training.batch_size`.

    Raises:
      SettingsError: if there is no such setting.
    """
    name = PREFIX + key.strip().upper().replace("-", "_").replace(".", "__")
    if name.removeprefix(PREFIX) not in (known := _variable_names(Settings)):
        close = did_you_mean(key_of(name), [key_of(one) for one in known])
        raise SettingsError(f"There is no setting {key!r}: {close}")
    return name


def key_of(name: str) -> str:
    """Returns the setting that an environment variable changes, with or without its prefix."""
    return name.upper().removeprefix(PREFIX).lower().replace("__", ".")


def is_verbatim(config: str) -> bool:
    """Returns whether GRAFTLINE_CONFIG is neither a name nor a path: only a dataset, or the settings themselves."""
    return config.startswith("{") or is_given_alone(config)


def _is_service_link(name: str) -> bool:
    services = (
        other.removesuffix(SERVICE_HOST)
        for other in os.environ
        if other.endswith(SERVICE_HOST) and other.removesuffix(SERVICE_HOST) + SERVICE_PORT in os.environ
    )
    return any(re.fullmatch(re.escape(service) + OF_A_SERVICE, name) for service in services)


def _unknown_variables() -> list[str]:
    """Returns a message per unknown variable: pydantic's source ignores them, so typos would go unnoticed."""
    known = [PREFIX + name for name in _variable_names(Settings)]
    unknown = [name for name in os.environ if _is_setting(name) and name.upper() not in known]
    return [f"{name} = {os.environ[name]!r}: no such setting; {did_you_mean(name, known)}" for name in unknown]


def _variable_names(model: type[BaseModel]) -> list[str]:
    names = []
    for name in model.model_fields:
        names.append(name.upper())
        section = section_of(model, name)
        names += [f"{name.upper()}__{inner}" for inner in _variable_names(section)] if section else []
    return names


def _describe(problem: Any) -> str:
    """Describes one mistake: key, value, what is wrong and the fix."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        cure = did_you_mean(str(problem["loc"][-1]), _siblings(problem["loc"]))
        return f"{key} = {problem['input']!r}: no such setting; {cure}"
    if problem["type"] == "missing":
        return f"{key} is missing; add it"
    message = CURES.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    secret = key.startswith(SECRET) or any(name.startswith(f"{key}.") for name in SECRET)
    hidden = secret or isinstance(problem["input"], dict | BaseModel)
    value = "" if hidden else f" = {problem['input']!r}"
    return f"{key}{value}: {message[0].lower()}{message[1:]}"


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        model = section_of(model, str(part)) or model
    return list(model.model_fields)
