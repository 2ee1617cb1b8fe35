"""Sections of the settings that only a cluster and its metadata server need."""

import zoneinfo
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from graftline.settings.section import Section


class Mysql(Section):
    """A MySQL or MariaDB server that keeps the metadata; its database exists, its tables are made."""

    host: str = "graftline-mysql"  # Kubeflow Pipelines has a service mysql of its own
    """Name of the machine or service."""
    port: Annotated[int, Field(ge=0, lt=2**16)] = 3306
    """TCP port."""
    socket: str = ""
    """Path of a Unix socket, used instead of host and port where it is given."""
    database: str = "graftline"
    """Name of the database."""
    user: str = "graftline"
    """Who connects."""
    password: SecretStr = SecretStr("")
    """Their password: give it in the environment, never in a file."""


class Resources(Section):
    """What a pod asks the cluster for, and how long it may run."""

    cpu: Annotated[str, Field(pattern=r"^\d+(\.\d+|m)?$")] = "1"
    """Cores asked for: whole, a fraction, or thousandths as in `500m`."""
    memory: Annotated[str, Field(pattern=r"^\d+[MG]i?$")] = "4Gi"
    """Memory asked for, which is the limit too, as in `4Gi`."""
    minutes: Annotated[int, Field(ge=1)] = 120
    """How long a pod may run before it is ended."""


class Toleration(Section):
    """Lets a pod onto nodes with a taint."""

    key: str
    """Key of the taint."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """Whether the key alone or its value too must fit."""
    value: str = ""
    """Value of the taint, for `Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    """Effect of the taint."""


class Accelerator(Section):
    """Where the Trainer runs, and on what; no other component takes part of it."""

    type: str = "nvidia.com/gpu"
    """The device as Kubernetes names it."""
    count: Annotated[int, Field(ge=0)] = 1
    """Devices; 0 trains on a pod like the others."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that the node must have."""
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu"),)
    """Taints of nodes that the Trainer may run on."""
    shared_memory: Annotated[str, Field(pattern=r"^\d+[MG]i$")] = "2Gi"
    """Size of `/dev/shm`, which devices talk through, as in `2Gi`."""
    resources: Resources = Resources(cpu="4", memory="16Gi", minutes=720)
    """What the Trainer's pod asks for."""


class Cluster(Section):
    """Where and how Kubeflow Pipelines runs the DAG; unused on one machine."""

    endpoint: str = "http://localhost:8888"
    """Address of the Kubeflow Pipelines server."""
    namespace: str = "graftline"
    """That of a Kubeflow profile; empty where there are no profiles."""
    experiment: str = "graftline"
    """The experiment that runs are listed under."""
    image: str | None = None
    """A repository, tagged by the git revision then, or a whole reference with a tag or a digest."""
    volume: str = "graftline"
    """A claim that many nodes can write to; everything that runs make is kept on it."""
    mount: Path = Path("/mnt/graftline")
    """Where pods have the volume."""
    mysql: Mysql = Mysql()
    """The metadata server that pods use."""
    mysql_secret: str = "graftline-mysql"
    """The secret that holds its password."""
    service_account: str = "graftline"
    """The account that pods run as."""
    pods: Literal["stage", "component"] = "stage"
    """What is a pod: all that comes before training, training, and all that comes after it; or each component."""
    resources: Resources = Resources()
    """What each pod but the Trainer's asks for; a stage may wait as long for another run as it may work."""
    trainer: Accelerator = Accelerator()
    """Where the Trainer runs."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a pod that failed is started again."""
    retry_seconds: Annotated[int, Field(ge=1)] = 30
    """Wait before the first of these; each later one doubles it."""
    webhook: SecretStr | None = None
    """Address that is told how a run ended; pods take it from `settings_secret`."""
    settings_secret: str = "graftline-settings"
    """The secret that holds, under the keys `webhook` and `beam_args`, what of these settings is given."""
    time_zone: str = "UTC"
    """The one that the server reads schedules in."""

    @field_validator("image")
    @classmethod
    def _image_is_one_build(cls, image: str | None) -> str | None:
        if image and image.endswith(":latest"):
            raise ValueError("is another image every day; give a revision as its tag, or a digest")
        return image

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        if zone not in zoneinfo.available_timezones():
            raise ValueError("is not a time zone; give one such as UTC or Europe/Berlin")
        return zone
