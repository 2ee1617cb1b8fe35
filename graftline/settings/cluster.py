"""Sections of the settings that only a cluster and its metadata server need."""

import zoneinfo
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from graftline.settings.section import Section


class Mysql(Section):
    """A MySQL or MariaDB server that keeps the metadata. Its database must exist; Graftline creates the tables."""

    host: str = "graftline-mysql"  # Kubeflow Pipelines has its own service named mysql
    """Name of the machine or service."""
    port: Annotated[int, Field(ge=0, lt=2**16)] = 3306
    """TCP port."""
    socket: str = ""
    """Path of a Unix socket; if set, it replaces host and port."""
    database: str = "graftline"
    """Name of the database."""
    user: str = "graftline"
    """User to connect as."""
    password: SecretStr = SecretStr("")
    """Password of this user: give it in the environment, never in a file."""


class Resources(Section):
    """What a pod requests from the cluster, and how long it may run."""

    cpu: Annotated[str, Field(pattern=r"^\d+(\.\d+|m)?$")] = "1"
    """CPU cores to request: a whole number, a fraction, or thousandths as in `500m`."""
    memory: Annotated[str, Field(pattern=r"^\d+[MG]i?$")] = "4Gi"
    """Memory to request, which is also the limit, as in `4Gi`."""
    minutes: Annotated[int, Field(ge=1)] = 120
    """Minutes after which the cluster ends a pod."""


class Toleration(Section):
    """Lets a pod run on nodes with a taint."""

    key: str
    """Key of the taint."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """`Exists` matches by the key, `Equal` by key and value."""
    value: str = ""
    """Value of the taint, for `Equal`."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"
    """Effect of the taint."""


class Accelerator(Section):
    """Where the Trainer runs, and on which devices. No other component uses them."""

    type: str = "nvidia.com/gpu"
    """Name of the device in Kubernetes."""
    count: Annotated[int, Field(ge=0)] = 1
    """Number of devices; with 0, the Trainer runs on a pod like the others."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that the node must have."""
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu"),)
    """Taints that the Trainer tolerates."""
    shared_memory: Annotated[str, Field(pattern=r"^\d+[MG]i$")] = "2Gi"
    """Size of `/dev/shm`, through which devices communicate, as in `2Gi`."""
    resources: Resources = Resources(cpu="4", memory="16Gi", minutes=720)
    """What the Trainer's pod requests."""


class Cluster(Section):
    """Where and how Kubeflow Pipelines runs the DAG; unused on one machine."""

    endpoint: str = "http://localhost:8888"
    """Address of the Kubeflow Pipelines server."""
    namespace: str = "graftline"
    """Namespace of a Kubeflow profile; empty if there are no profiles."""
    experiment: str = "graftline"
    """Experiment that the runs are listed under."""
    image: str | None = None
    """Image that pods run: a repository, which gets the git revision as tag, or a full reference with a tag or a digest."""
    volume: str = "graftline"
    """Volume claim that many nodes can write to; it holds everything that runs make."""
    mount: Path = Path("/mnt/graftline")
    """Path of the volume in pods."""
    mysql: Mysql = Mysql()
    """Metadata server that pods use."""
    mysql_secret: str = "graftline-mysql"
    """Secret that holds its password."""
    service_account: str = "graftline"
    """Service account that pods run as."""
    pods: Literal["stage", "component"] = "stage"
    """`stage`: one pod before training, one for training, one after it; `component`: one pod per component."""
    resources: Resources = Resources()
    """What each pod except the Trainer's requests. A stage may also wait this many `minutes` for another run."""
    trainer: Accelerator = Accelerator()
    """Where the Trainer runs."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a failed pod is started again."""
    retry_seconds: Annotated[int, Field(ge=1)] = 30
    """Seconds before the first retry; each later retry waits twice as long as the one before."""
    webhook: SecretStr | None = None
    """URL that gets a message about how each run ended; pods read it from `settings_secret`."""
    settings_secret: str = "graftline-settings"
    """Secret that holds the settings `webhook` and `beam_args` under these keys, if they are set."""
    time_zone: str = "UTC"
    """Time zone in which the server reads schedules."""

    @field_validator("image")
    @classmethod
    def _image_is_one_build(cls, image: str | None) -> str | None:
        if image and image.endswith(":latest"):
            raise ValueError("is not a fixed image; give a revision as its tag, or a digest")
        return image

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, zone: str) -> str:
        if zone not in zoneinfo.available_timezones():
            raise ValueError("is not a time zone; give one such as UTC or Europe/Berlin")
        return zone
