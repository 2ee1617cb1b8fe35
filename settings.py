"""Every knob of a run: typed, checked, read from a file in `configs/`.

The file is chosen by the environment variable GRAFTLINE_CONFIG (a name in `configs/` or a path; `digits` by default), for
the `tfx` command passes no arguments through. Single keys are overridden from the environment, nested by two underscores:
`GRAFTLINE_TRAINING__BATCH_SIZE=64`. Nothing here imports TensorFlow, so mistakes are told at once.
"""

import difflib
import json
import os
import re
import subprocess
import sys
import zoneinfo
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent
PREFIX = "GRAFTLINE_"
CONFIG_VARIABLE = PREFIX + "CONFIG"
FOLDER_PREFIX = "folder:"
LATEST, SPAN = "latest", "span-"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"})
_data_is_here: ContextVar[bool] = ContextVar("data_is_here", default=True)
BACKBONE_LAYERS: dict[str, list[str]] = json.loads((PROJECT / "schemas/backbones.json").read_text())


class UserError(Exception):
    """A mistake of the user's, or of the data's: told in its own words, without a traceback."""


class SettingsError(UserError):
    """All mistakes of a configuration, a line each."""


def _did_you_mean(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"the known ones are {', '.join(known)}"


def _absolute(path: Path) -> Path:
    expanded = path.expanduser()
    return expanded if expanded.is_absolute() else PROJECT / expanded


ProjectPath = Annotated[Path, Field(description="Absolute, or relative to the project.")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Settings of one part of the pipeline: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


class Splits(Section):
    """Fractions of the data that each split gets; they sum to 1."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.8
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test sum to {total:g}; change them so that they sum to 1")
        return self


class Data(Section):
    """What is read, and how it is split.

    A folder that holds folders `span-1`, `span-2`, … is a dataset that grows: `span` is the number of one of them, or
    `latest`.
    """

    span: Annotated[str, Field(pattern=r"^(latest|\d+)$")] = LATEST
    dataset: str
    data_dir: ProjectPath = Path("output/data")
    splits: Splits = Splits()
    max_bad_images: Fraction = 0.01
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    max_examples: Annotated[int, Field(ge=1)] | None = None

    @field_validator("dataset")
    @classmethod
    def _folder_has_classes(cls, dataset: str, info: ValidationInfo) -> str:
        span = info.data.get("span", LATEST)
        if not dataset.startswith(FOLDER_PREFIX):
            if span != LATEST:
                raise ValueError(f"is no folder, so it has no span {span}; leave data.span at {LATEST}")
        elif _data_is_here.get():
            _check_folder(_span_folder(_absolute(Path(dataset.removeprefix(FOLDER_PREFIX))), span))
        return dataset

    @property
    def collection(self) -> Path | None:
        """The folder that the dataset names, with all spans, where it names one."""
        is_folder = self.dataset.startswith(FOLDER_PREFIX)
        return _absolute(Path(self.dataset.removeprefix(FOLDER_PREFIX))) if is_folder else None

    @property
    def folder(self) -> Path | None:
        """The folder of photos, where the dataset is one: the span, where it has spans."""
        return _span_folder(self.collection, self.span) if self.collection else None

    @field_validator("data_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return _absolute(path)


def _span_folder(root: Path, span: str) -> Path:
    """Returns a span's folder, or the folder itself where it has no spans and none is asked for by number."""
    if span != LATEST:
        return root / f"{SPAN}{span}"
    names = [path.name.removeprefix(SPAN) for path in root.glob(f"{SPAN}*") if path.is_dir()]
    numbers = [name for name in names if name.isdigit()]  # not one that is still being written under another name
    return root / f"{SPAN}{max(numbers, key=int)}" if numbers else root


def class_folders(folder: Path) -> list[Path]:
    """Returns the folders of a dataset's classes, sorted by name; hidden ones do not count."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def image_files(folder: Path) -> list[Path]:
    """Returns the image files below a folder, sorted; hidden ones do not count."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; give one that holds a folder of photos per class")
    classes = class_folders(folder)
    if len(classes) < 2:
        found = f"only {classes[0].name}" if classes else "none"
        raise ValueError(f"{folder} must hold at least two folders, one per class, but has {found}; add the others")
    empty = [path.name for path in classes if not image_files(path)]
    if empty:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        raise ValueError(f"no image ({kinds}) in {', '.join(empty)}; add some to each or remove the folder")


class DataGate(Section):
    """How many copies the data may hold before a run is stopped; what else may be wrong with it is in the schema."""

    max_duplicates: Fraction = 0.2
    max_contradictions: Fraction = 0.001
    max_near_duplicates: Fraction = 0.05


class Model(Section):
    """The network: a pretrained backbone and a new head."""

    backbone: str = "MobileNetV2"
    weights: str = "imagenet"
    image_size: Annotated[int, Field(ge=32, le=1024)] = 160
    fine_tune_at: str = "block_11_expand_BN"
    batch_norm: Literal["frozen", "train"] = "frozen"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("backbone")
    @classmethod
    def _backbone_is_known(cls, name: str) -> str:
        if name not in BACKBONE_LAYERS:
            raise ValueError(f"no such backbone; {_did_you_mean(name, list(BACKBONE_LAYERS))}")
        return name

    @field_validator("fine_tune_at")
    @classmethod
    def _layer_exists(cls, layer: str, info: ValidationInfo) -> str:
        layers = BACKBONE_LAYERS.get(info.data.get("backbone", ""))
        if layers and layer not in layers:
            close = difflib.get_close_matches(layer, layers, n=3) or [layers[0], "…", layers[-1]]
            raise ValueError(f"names no layer of {info.data['backbone']}; choose one such as {', '.join(close)}")
        return layer

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, weights: str) -> str:
        if weights in ("imagenet", "none"):
            return weights
        path = _absolute(Path(weights))
        if not path.is_file():
            raise ValueError(f"there is no file {path}; give an .h5 file of weights, or imagenet, or none")
        return str(path)


class Prefix(Section):
    """How the frozen part of the network is run, once for each picture, and how its output is kept."""

    engine: Literal["auto", "tensorflow", "openvino"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_dtype: Literal["float16", "float32"] = "float16"


class Phase(Section):
    """One phase of training."""

    epochs: Annotated[int, Field(ge=0)] = 10
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "cosine"] = "constant"


class Training(Section):
    """Phase 1 trains the head on the frozen base, phase 2 also the layers from `model.fine_tune_at` on."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    seed: Annotated[int, Field(ge=0)] = 42
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    augmentation: Literal["none", "flip"] = "none"
    mixed_precision: Literal["auto", "off"] = "auto"
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5
    phase_1: Phase = Phase()
    phase_2: Phase = Phase(learning_rate=1e-4)


class Gate(Section):
    """What a candidate must reach on the test split to be blessed."""

    min_accuracy: Fraction
    max_accuracy_drop: Fraction = 0.0


class Serving(Section):
    """What serving a model may cost, in a fresh process on the machine of the check.

    Where `tensorflow_serving` names a tag of the image tensorflow/serving, TFX's InfraValidator asks that one on the cluster
    instead.
    """

    tensorflow_serving: str | None = None
    max_load_seconds: Annotated[float, Field(gt=0)] = 60
    max_memory_gb: Annotated[float, Field(gt=0)] = 4
    max_latency_ms: Annotated[float, Field(gt=0)] = 1000


class Run(Section):
    """Where a run keeps its files, and how it works."""

    root: ProjectPath = Path("output")
    serving_dir: ProjectPath = Path("output/serving")
    keep_work_dirs: Annotated[int, Field(ge=1)] = 5
    keep_versions: Annotated[int, Field(ge=1)] = 5
    force_retrain: bool = False
    log_level: Literal["error", "warning", "info"] = "warning"
    beam_args: tuple[str, ...] = ()

    @field_validator("root", "serving_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return _absolute(path)


class Mysql(Section):
    """A MySQL or MariaDB server that keeps the metadata; its database exists, its tables are made."""

    host: str = "graftline-mysql"  # Kubeflow Pipelines has a service mysql of its own
    port: Annotated[int, Field(ge=0, lt=2**16)] = 3306
    socket: str = ""
    database: str = "graftline"
    user: str = "graftline"
    password: SecretStr = SecretStr("")


class Resources(Section):
    """What a pod asks the cluster for, and how long it may run."""

    cpu: Annotated[str, Field(pattern=r"^\d+(\.\d+|m)?$")] = "1"
    memory: Annotated[str, Field(pattern=r"^\d+[MG]i?$")] = "4Gi"
    minutes: Annotated[int, Field(ge=1)] = 120


class Toleration(Section):
    """Lets a pod onto nodes with a taint."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str = ""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class Accelerator(Section):
    """Where the Trainer runs, and on what; no other component takes part of it."""

    type: str = "nvidia.com/gpu"
    count: Annotated[int, Field(ge=0)] = 1
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu"),)
    shared_memory: Annotated[str, Field(pattern=r"^\d+[MG]i$")] = "2Gi"
    resources: Resources = Resources(cpu="4", memory="16Gi", minutes=720)


class Cluster(Section):
    """Where and how Kubeflow Pipelines runs the DAG; unused on one machine.

    `image` is a repository, tagged by the git revision, or a whole reference with a tag or a digest. `volume` is a claim
    that many nodes can write to; everything that runs make is kept on it, mounted at `mount`. `time_zone` is the one that
    the server reads schedules in. `namespace` is that of a Kubeflow profile, empty where there are no profiles.
    """

    endpoint: str = "http://localhost:8888"
    namespace: str = "graftline"
    experiment: str = "graftline"
    image: str | None = None
    volume: str = "graftline"
    mount: Path = Path("/mnt/graftline")
    mysql: Mysql = Mysql()
    mysql_secret: str = "graftline-mysql"
    service_account: str = "graftline"
    resources: Resources = Resources()
    trainer: Accelerator = Accelerator()
    retries: Annotated[int, Field(ge=0)] = 2
    retry_seconds: Annotated[int, Field(ge=1)] = 30
    webhook: str | None = None
    time_zone: str = "UTC"

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
            raise ValueError("is no time zone; give one such as UTC or Europe/Berlin")
        return zone


class Settings(BaseSettings):
    """Every setting of a pipeline, a section for each of its parts."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", protected_namespaces=()
    )

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    data: Data
    data_gate: DataGate = DataGate()
    model: Model = Model()
    prefix: Prefix = Prefix()
    training: Training = Training()
    gate: Gate
    serving: Serving = Serving()
    run: Run = Run()
    metadata: Mysql | None = None
    cluster: Cluster = Cluster()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Lets the environment override the file."""
        return env_settings, init_settings

    @property
    def schema_path(self) -> Path:
        """The reviewed schema of the dataset, named after it."""
        folder = self.data.collection
        name = folder.name if folder else re.split("[/:]", self.data.dataset)[0]
        return PROJECT / "schemas" / f"{name}.pbtxt"

    @property
    def pipeline_root(self) -> Path:
        """Where artifacts are kept."""
        return self.run.root / "pipelines" / self.name

    @property
    def work_dir(self) -> Path:
        """What outlives a run that failed, and serves other pipelines on the same data too: the cached features."""
        return self.run.root / "work"

    @property
    def metadata_path(self) -> Path:
        """The SQLite file of the metadata store."""
        return self.run.root / "metadata" / f"{self.name}.sqlite"

    @property
    def push_dir(self) -> Path:
        """Where blessed models are pushed, a folder a version: what a model server watches."""
        return self.run.serving_dir / self.name


def revision() -> str:
    """Returns the git revision of this project, marked where files have changed since.

    Raises:
      UserError: where it is no git checkout.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        raise UserError(f"{PROJECT} is no git checkout, so its revision is not known: clone it with git.") from None


def config_path() -> Path:
    """Returns the file that GRAFTLINE_CONFIG names.

    Raises:
      SettingsError: where there is no such file.
    """
    config = os.environ.get(CONFIG_VARIABLE) or "digits"
    candidates = [PROJECT / "configs" / f"{config}.yaml", _absolute(Path(config))]
    for path in candidates:
        if path.is_file():
            return path
    names = sorted(path.stem for path in (PROJECT / "configs").glob("*.yaml"))
    raise SettingsError(f"There is no configuration {config!r}: give a path, or one of {', '.join(names)}.")


def load(data_is_here: bool = True) -> Settings:
    """Reads, overrides and checks the settings of this run.

    Args:
      data_is_here: whether a dataset that is a folder must be on this machine.

    Raises:
      SettingsError: with every mistake found, each with its key, its value and the cure.
    """
    source, values = _read()
    if not isinstance(values, dict):
        raise SettingsError(f"{source} must hold keys and values, such as `name: digits`.")
    problems = _unknown_variables()
    token = _data_is_here.set(data_is_here)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        problems += [_describe(problem) for problem in error.errors()]
    finally:
        _data_is_here.reset(token)
    if problems:
        raise SettingsError("\n".join([f"{source} cannot be used:", *(f"  {problem}" for problem in problems)]))
    return settings


def _read() -> tuple[str, Any]:
    """Returns where the settings are from, for messages, and what stands there."""
    config = os.environ.get(CONFIG_VARIABLE, "")
    if config.startswith("{"):  # the settings themselves, as pods get them
        return CONFIG_VARIABLE, json.loads(config)
    path = config_path()
    try:
        return str(path), yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is no valid YAML: {error}") from None


def load_or_exit(data_is_here: bool = True) -> Settings:
    """Returns the settings of this run, or tells the mistakes on standard error and exits with status 2.

    Args:
      data_is_here: as for `load`.
    """
    try:
        return load(data_is_here)
    except SettingsError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _unknown_variables() -> list[str]:
    """The settings source ignores environment variables it does not know, so typing errors would be ignored too."""
    known = [PREFIX + name for name in _variable_names(Settings)]
    given = (name for name in os.environ if name.startswith(PREFIX) and name != CONFIG_VARIABLE)
    unknown = [name for name in given if name.upper() not in known]
    return [f"{name} = {os.environ[name]!r}: no such setting; {_did_you_mean(name, known)}" for name in unknown]


def _variable_names(model: type[BaseModel]) -> list[str]:
    names = []
    for name in model.model_fields:
        names.append(name.upper())
        section = _section(model, name)
        names += [f"{name.upper()}__{inner}" for inner in _variable_names(section)] if section else []
    return names


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """Returns the model of a field that is a section, optional or not; None of any other."""
    annotation = model.model_fields[name].annotation
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
    return next((kind for kind in kinds if issubclass(kind, BaseModel)), None)


def _describe(problem: Any) -> str:
    """Says one mistake: key, value, what is wrong and the cure."""
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        cure = _did_you_mean(str(problem["loc"][-1]), _siblings(problem["loc"]))
        return f"{key} = {problem['input']!r}: no such setting; {cure}"
    if problem["type"] == "missing":
        return f"{key}: is missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    value = "" if isinstance(problem["input"], dict | BaseModel) else f" = {problem['input']!r}"
    return f"{key}{value}: {message[0].lower()}{message[1:]}"


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location[:-1]:
        model = _section(model, str(part)) or model
    return list(model.model_fields)


if __name__ == "__main__":
    print(load_or_exit().name)
