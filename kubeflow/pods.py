"""What the pipeline's pods get: image, settings and Secrets, both for a run's pods and for those that a user asks for."""

import functools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from graftline.base.code import revision
from graftline.base.errors import UserError
from graftline.base.paths import PREFIX, SCHEMAS
from graftline.settings.section import secrets
from graftline.settings.settings import Settings

USER = 1000  # user and group of the image, and owner of the files on the volume


def image(settings: Settings) -> str:
    """Returns the image that pods run: as configured, tagged with the git revision if it has neither tag nor digest.

    Raises:
      UserError: if no image is configured.
    """
    reference = settings.cluster.image
    if not reference:
        raise UserError(
            "cluster.image is not set: build and push one with `graftline kubeflow image <registry>/graftline`, and give "
            f"its name in the configuration or as {PREFIX}CLUSTER__IMAGE."
        )
    if "@" in reference or ":" in reference.rpartition("/")[2]:
        return reference
    return f"{reference}:{revision()}"


def namespace(settings: Settings) -> str:
    """Returns the namespace that pods run in; without profiles, that of Kubeflow Pipelines itself."""
    return settings.cluster.namespace or "kubeflow"


def on_cluster(settings: Settings) -> Settings:
    """Returns the settings that pods use: all files are on the shared volume, photos too, and metadata on the server.

    Raises:
      UserError: if they name a file that pods do not have.
    """
    _check_files(settings)
    mount = settings.cluster.mount
    dataset = settings.data.source.on_volume(mount)
    labels = settings.data.labels and mount / settings.data.labels
    data = settings.data.model_copy(update={"data_dir": mount / "data", "dataset": dataset, "labels": labels})
    run = settings.run.model_copy(update={"root": mount, "serving_dir": mount / "serving"})
    return settings.model_copy(update={"data": data, "run": run, "metadata": settings.cluster.mysql})


def _check_files(settings: Settings) -> None:
    """Checks that pods have the named files: they see only the volume and the image, which contains this project."""
    mount, weights = settings.cluster.mount, settings.model.weights
    if Path(weights).is_absolute() and not Path(weights).is_relative_to(mount):
        raise UserError(f"model.weights = '{weights}' is a file on this machine: give imagenet or none.")
    labels = settings.data.labels
    if labels and not (mount / labels).is_relative_to(mount):
        raise UserError(
            f"data.labels = '{labels}' is not on the volume: copy it there, and give a path relative to {mount}."
        )
    if settings.bulk.folder and not settings.bulk.folder.is_relative_to(mount):
        raise UserError(
            f"bulk.folder = '{settings.bulk.folder}' is not on the volume: copy it there, and give its path below {mount}."
        )
    if not settings.schema_path.is_relative_to(SCHEMAS):
        raise UserError(
            f"{settings.schema_path} is not in the image: review it, move it to {SCHEMAS}, and build the image again."
        )


def configuration(settings: Settings) -> str:
    """Returns the pods' settings as JSON for CONFIG_VARIABLE: all that differ from the defaults, except for secrets.

    Raises:
      UserError: if they name a file that pods do not have.
    """
    hidden = _nested(secrets(Settings))  # pods take them from Secrets, to keep them out of compiled pipelines
    return json.dumps(on_cluster(settings).model_dump(mode="json", exclude=hidden, exclude_defaults=True))


def _nested(keys: Iterable[str]) -> dict[str, Any]:
    """Returns keys as the nested dictionary that pydantic's `exclude` takes."""
    tree: dict[str, Any] = {}
    for key in keys:
        *sections, last = key.split(".")
        functools.reduce(lambda inner, name: inner.setdefault(name, {}), sections, tree)[last] = True
    return tree


def secret_variables(settings: Settings) -> list[tuple[str, dict[str, str]]]:
    """Returns the Secrets that pods read: the name of each, and its keys with the variables that receive their values."""
    password = (settings.cluster.mysql_secret, {"password": f"{PREFIX}METADATA__PASSWORD"})
    hidden = hidden_settings(settings)
    return [password, (settings.cluster.settings_secret, hidden)] if hidden else [password]


def hidden_settings(settings: Settings) -> dict[str, str]:
    """Returns the settings that pods take from the Secret `cluster.settings_secret`: its keys with their variables."""
    keys = [key for key in secrets(Settings) if not key.endswith(".password")]  # databases have their own Secrets
    hidden = [key for key in keys if functools.reduce(getattr, key.split("."), settings)]
    return {key.rpartition(".")[2]: PREFIX + key.upper().replace(".", "__") for key in hidden}


def secrets_needed(settings: Settings) -> str:
    """Returns how to create the Secret that pods take settings from; empty if they need none."""
    hidden = hidden_settings(settings)
    if not hidden:
        return ""
    cluster = settings.cluster
    literals = " ".join(f'--from-literal={key}="${variable}"' for key, variable in hidden.items())
    return (
        f"Pods take {' and '.join(hidden)} from the Secret {cluster.settings_secret}, not from the compiled pipeline. "
        f"Create it: kubectl -n {namespace(settings)} create secret generic {cluster.settings_secret} {literals}"
    )
