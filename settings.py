"""Every knob of a run: typed, checked, and said in a line what it is for.

`configuration.py` reads them, from a file and the environment; `docs/settings.md` lists them.
"""

import difflib
import json
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

import photos
from cluster_settings import Cluster, Mysql
from photos import LATEST
from section import Section

PROJECT = Path(__file__).resolve().parent
SCHEMAS = PROJECT / "schemas"  # the reviewed ones
PREFIX = "GRAFTLINE_"
FOLDER_PREFIX = "folder:"
DATA_IS_HERE: ContextVar[bool] = ContextVar("data_is_here", default=True)  # folders must be on this machine
BACKBONE_LAYERS: dict[str, list[str]] = json.loads((SCHEMAS / "backbones.json").read_text())


class UserError(Exception):
    """A mistake of the user's, or of the data's: told in its own words, without a traceback."""


class SettingsError(UserError):
    """All mistakes of a configuration, a line each."""


def did_you_mean(name: str, known: list[str]) -> str:
    """Says which of the known names are close to one that is not known."""
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"the known ones are {', '.join(known)}"


def check_layer(backbone: str, layer: str) -> None:
    """Raises ValueError where a backbone that is known has no such layer."""
    layers = BACKBONE_LAYERS[backbone]
    if layer not in layers:
        close = difflib.get_close_matches(layer, layers, n=3) or [layers[0], "…", layers[-1]]
        raise ValueError(f"names no layer of {backbone}; choose one such as {', '.join(close)}")


def absolute(path: Path) -> Path:
    """Returns a path that is absolute, or relative to the project, as an absolute one; `~` is the home folder."""
    expanded = path.expanduser()
    return expanded if expanded.is_absolute() else PROJECT / expanded


ProjectPath = Path  # absolute, or relative to the project
Fraction = Annotated[float, Field(ge=0, le=1)]
Rates = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class Splits(Section):
    """Fractions of the data that each split gets; they sum to 1."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Part that the head and the upper layers learn from."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Part that is looked at after each epoch."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Part that the gate looks at, and nothing else."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test sum to {total:g}; change them so that they sum to 1")
        return self


class Data(Section):
    """What is read, and how it is split.

    A folder that holds folders `span-1`, `span-2`, … is a dataset that grows.
    """

    span: Annotated[str, Field(pattern=r"^(latest|\d+)$")] = LATEST
    """Number of a folder `span-<number>`, or `latest`; only where the dataset is a folder that holds such ones."""
    dataset: str
    """Name of a TFDS set, such as `cats_vs_dogs`, or `folder:<path>` of a folder with a folder of photos per class."""
    data_dir: ProjectPath = Path("output/data")
    """Where TFDS keeps its sets; relative to the project."""
    splits: Splits = Splits()
    """How the pictures are split: each by a hash of its bytes, so that it keeps its split when others come."""
    max_bad_images: Fraction = 0.01
    """Part of the files that may be unreadable before the run is stopped."""
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    """Width times height that a picture may claim; larger ones are left out as bad."""
    max_examples: Annotated[int, Field(ge=1)] | None = None
    """How many pictures are read at most; unset reads all."""

    @field_validator("dataset")
    @classmethod
    def _folder_has_classes(cls, dataset: str, info: ValidationInfo) -> str:
        span = info.data.get("span", LATEST)
        if not dataset.startswith(FOLDER_PREFIX):
            if span != LATEST:
                raise ValueError(f"is no folder, so it has no span {span}; leave data.span at {LATEST}")
        elif DATA_IS_HERE.get():
            photos.check(photos.span_folder(absolute(Path(dataset.removeprefix(FOLDER_PREFIX))), span))
        return dataset

    @property
    def collection(self) -> Path | None:
        """The folder that the dataset names, with all spans, where it names one."""
        is_folder = self.dataset.startswith(FOLDER_PREFIX)
        return absolute(Path(self.dataset.removeprefix(FOLDER_PREFIX))) if is_folder else None

    @property
    def folder(self) -> Path | None:
        """The folder of photos, where the dataset is one: the span, where it has spans."""
        return photos.span_folder(self.collection, self.span) if self.collection else None

    @field_validator("data_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return absolute(path)


class DataGate(Section):
    """How many copies the data may hold before a run is stopped; what else may be wrong with it is in the schema."""

    max_duplicates: Fraction = 0.2
    """Part of the pictures that may be exact copies of others."""
    max_contradictions: Fraction = 0.001
    """Part of the pictures that may be there under several labels."""
    max_near_duplicates: Fraction = 0.05
    """Part of validation and test that may look like a picture of another split."""
    infer_schema: bool = False
    """Whether a run whose schema nobody has reviewed infers one, and keeps it below `run.root` for later runs."""


class Model(Section):
    """The network: a pretrained backbone and a new head."""

    backbone: str = "MobileNetV2"
    """Network by its name in `keras.applications`, one of those in `schemas/backbones.json`."""
    weights: str = "imagenet"
    """`imagenet`, `none` for random ones, or the path of an .h5 file; relative to the project."""
    image_size: Annotated[int, Field(ge=32, le=1024)] = 160
    """Height and width in pixels that pictures are resized to."""
    fine_tune_at: str = "block_11_expand_BN"
    """Name of the first layer that phase 2 trains."""
    batch_norm: Literal["frozen", "train"] = "frozen"
    """Whether phase 2 leaves the moving statistics of batch normalization as they are."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of the features that is dropped before the head in training."""

    @field_validator("backbone")
    @classmethod
    def _backbone_is_known(cls, name: str) -> str:
        if name not in BACKBONE_LAYERS:
            raise ValueError(f"no such backbone; {did_you_mean(name, list(BACKBONE_LAYERS))}")
        return name

    @field_validator("fine_tune_at")
    @classmethod
    def _layer_exists(cls, layer: str, info: ValidationInfo) -> str:
        backbone = info.data.get("backbone")
        if backbone:
            check_layer(backbone, layer)
        return layer

    @field_validator("weights")
    @classmethod
    def _weights_exist(cls, weights: str) -> str:
        if weights in ("imagenet", "none"):
            return weights
        path = absolute(Path(weights))
        if not path.is_file():
            raise ValueError(f"there is no file {path}; give an .h5 file of weights, or imagenet, or none")
        return str(path)


class Prefix(Section):
    """How the frozen part of the network is run, once for each picture, and how its output is kept."""

    engine: Literal["auto", "tensorflow", "openvino"] = "auto"
    """What runs the frozen part; `auto` takes OpenVINO on CPUs and TensorFlow on GPUs."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the frozen part; `auto` takes bfloat16 where the machine has it."""
    cache_dtype: Literal["float16", "float32"] = "float16"
    """Type that its output is kept in on disk."""


class Phase(Section):
    """One phase of training."""

    epochs: Annotated[int, Field(ge=0)] = 10
    """Passes over the training split; 0 leaves the phase out."""
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    """By its name in Keras."""
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """At the start of the phase."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Whether the rate stays, or falls to nought along a cosine."""


class Training(Section):
    """Phase 1 trains the head on the frozen base, phase 2 also the layers from `model.fine_tune_at` on."""

    batch_size: Annotated[int, Field(ge=1)] = 32
    """Pictures per step."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Of the order of pictures, of augmentation and of the head's first weights."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of a label's probability that is spread over the other classes."""
    augmentation: Literal["none", "flip"] = "none"
    """`flip` shows pictures mirrored, too."""
    mixed_precision: Literal["auto", "off"] = "auto"
    """`auto` computes in half precision on GPUs that are made for it."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 5
    """Minutes between two checkpoints: what an interruption can cost."""
    phase_1: Phase = Phase()
    """The head alone, on the frozen base."""
    phase_2: Phase = Phase(learning_rate=1e-4)
    """The head and the layers from `model.fine_tune_at` on."""


class Gate(Section):
    """What a candidate must reach on the test split to be blessed."""

    min_accuracy: Fraction
    """Accuracy on the test split that a candidate must reach."""
    max_accuracy_drop: Fraction = 0.0
    """How far it may be below that of the model in production."""
    max_export_drop: Fraction = 0.01
    """How far a smaller form of the model, see `exports`, may be below the model; a worse one is not kept."""


class Tuning(Section):
    """A search for learning rates and for the layer to fine-tune from; what it finds comes before what is set for them."""

    trials: Annotated[int, Field(ge=0)] = 0
    """How many learning rates of the head are tried, and how many fine-tunings; 0 leaves this part of the pipeline out."""
    head_rates: Rates = (1e-4, 1e-1)
    """Lowest and highest learning rate that is tried for phase 1."""
    fine_tuning_rates: Rates | None = None
    """Lowest and highest learning rate that is tried for phase 2; unset keeps the one that is set for it."""
    boundaries: tuple[str, ...] = ()
    """Layers that are tried as `model.fine_tune_at`; none keeps the one that is set."""
    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over the training split in each trial."""

    @field_validator("head_rates", "fine_tuning_rates")
    @classmethod
    def _are_a_range(cls, rates: Rates | None) -> Rates | None:
        if rates and rates[0] >= rates[1]:
            raise ValueError("is no range; give the lowest and the highest rate, such as [1.0e-5, 1.0e-3]")
        return rates


class Bulk(Section):
    """A folder of photos without labels, which the model of each run classifies where it is blessed; at any depth."""

    folder: ProjectPath | None = None
    """The folder; unset leaves this part of the pipeline out."""

    @field_validator("folder")
    @classmethod
    def _folder_has_photos(cls, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        folder = absolute(folder)
        if DATA_IS_HERE.get() and not (folder.is_dir() and photos.image_files(folder)):
            raise ValueError(f"there is no image in {folder}; give a folder of photos, or leave it out")
        return folder


class Serving(Section):
    """What serving a model may cost, in a fresh process on the machine of the check."""

    tensorflow_serving: str | None = None
    """Tag of the image tensorflow/serving whose server TFX's InfraValidator asks on a cluster, instead of a process here."""
    max_load_seconds: Annotated[float, Field(gt=0)] = 60
    """Seconds until a fresh process has loaded the model."""
    max_memory_gb: Annotated[float, Field(gt=0)] = 4
    """Most memory of that process, in GB."""
    max_latency_ms: Annotated[float, Field(gt=0)] = 1000
    """Milliseconds to answer a request of one picture, as the 99th percentile."""


class Run(Section):
    """Where a run keeps its files, and how it works."""

    root: ProjectPath = Path("output")
    """Folder of everything that runs make; relative to the project."""
    serving_dir: ProjectPath = Path("output/serving")
    """Folder that models are pushed below, each under the pipeline's name; relative to the project."""
    keep_work_dirs: Annotated[int, Field(ge=1)] = 5
    """How many folders of cached features, and of checkpoints, are kept."""
    keep_versions: Annotated[int, Field(ge=1)] = 5
    """How many pushed versions are kept."""
    force_retrain: bool = False
    """Whether the Trainer runs where nothing has changed, too."""
    log_level: Literal["error", "warning", "info"] = "warning"
    """The least that libraries may say."""
    beam_args: tuple[SecretStr, ...] = ()
    """Arguments of Apache Beam, such as another runner's; they may hold keys of a cloud, so nothing repeats them."""

    @field_validator("root", "serving_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return absolute(path)


class Settings(BaseSettings):
    """Every setting of a pipeline, a section for each of its parts."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the pipeline, which its artifacts, metadata and pushed models are kept under."""
    data: Data
    data_gate: DataGate = DataGate()
    model: Model = Model()
    prefix: Prefix = Prefix()
    training: Training = Training()
    tuning: Tuning = Tuning()
    gate: Gate
    exports: tuple[Literal["tflite_fp16", "tflite_int8"], ...] = ()
    """Smaller forms of the model, for phones, that are measured and pushed beside it."""
    serving: Serving = Serving()
    bulk: Bulk = Bulk()
    run: Run = Run()
    metadata: Mysql | None = None
    """A server that keeps the metadata; unset keeps it in a SQLite file below `run.root`."""
    cluster: Cluster = Cluster()

    @field_validator("tuning")
    @classmethod
    def _boundaries_exist(cls, tuning: Tuning, info: ValidationInfo) -> Tuning:
        if "model" in info.data:
            for layer in tuning.boundaries:
                try:
                    check_layer(info.data["model"].backbone, layer)
                except ValueError as error:
                    raise ValueError(f"boundaries: {layer!r} {error}") from None
        return tuning

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
        """The reviewed schema of the dataset, named after it; where one may be inferred, named after the pipeline."""
        folder = self.data.collection
        name = folder.name if folder else re.split("[/:]", self.data.dataset)[0]
        reviewed = SCHEMAS / f"{self.name if self.data_gate.infer_schema else name}.pbtxt"
        may_be_inferred = self.data_gate.infer_schema and not reviewed.is_file()
        return self.run.root / "schemas" / reviewed.name if may_be_inferred else reviewed

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
