"""Every setting of a run: typed, checked, and described in one line.

`load.py` reads them from a file and the environment; `docs/reference/settings.md` lists them.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from graftline.base.aliases import without_pattern
from graftline.base.errors import UserError
from graftline.base.paths import PREFIX, ProjectPath, absolute, reviewed_schema
from graftline.settings.backbones import BACKBONES
from graftline.settings.cluster import Cluster, Mysql
from graftline.settings.data import Bulk, Data, DataGate
from graftline.settings.gate import Gate
from graftline.settings.section import Section, listed
from graftline.settings.serving import Serving
from graftline.settings.training import SOLVER, Model, Prefix, Training, Tuning


class Run(Section):
    """Where a run keeps its files, and how it works."""

    root: ProjectPath = Path("output")
    """Folder of everything that runs make; relative to the project."""
    serving_dir: ProjectPath = Path("output/serving")
    """Folder to push models to, each below its pipeline's name; relative to the project."""
    keep_work_dirs: Annotated[int, Field(ge=1)] = 5
    """How many folders of cached features, and how many of checkpoints, to keep."""
    keep_versions: Annotated[int, Field(ge=1)] = 5
    """How many pushed versions to keep."""
    keep_runs: Annotated[int, Field(ge=1)] = 10
    """How many runs keep their artifacts; those up to a day old, and those of the model in production, always stay."""
    wait_minutes: Annotated[float, Field(ge=0)] = 0
    """Minutes that a run on this machine waits for another run of the same pipeline to end."""
    adopt: bool = False
    """Whether this dataset takes over the pipeline's name from the dataset that first used it."""
    force_retrain: bool = False
    """Whether the Trainer runs even if nothing has changed."""
    log_level: Literal["error", "warning", "info"] = "warning"
    """Least severe messages that libraries may log."""
    beam_args: tuple[SecretStr, ...] = ()
    """Arguments of Apache Beam, such as another runner's. They may contain cloud credentials, so nothing prints them."""

    @field_validator("root", "serving_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return without_pattern(absolute(path))


class Environment(EnvSettingsSource):
    """Settings in the environment; a value that is not JSON stays text, and is checked with everything else."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        """Returns the value of a section, a list or a table."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            return value


class Settings(BaseSettings):
    """Every setting of a pipeline, with one section per part."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the pipeline, under which its artifacts, metadata and pushed models are kept."""
    data: Data
    data_gate: DataGate = DataGate()
    model: Model = Model()
    prefix: Prefix = Prefix()
    training: Training = Training()
    tuning: Tuning = Tuning()
    gate: Gate
    exports: Annotated[tuple[Literal["tflite_fp16", "tflite_int8"], ...], BeforeValidator(listed)] = ()
    """Smaller forms of the model, for phones, to measure and push with it."""
    serving: Serving = Serving()
    bulk: Bulk = Bulk()
    run: Run = Run()
    metadata: Mysql | None = None
    """Server that keeps the metadata; if unset, a SQLite file below `run.root` does."""
    cluster: Cluster = Cluster()

    @field_validator("tuning")
    @classmethod
    def _boundaries_exist(cls, tuning: Tuning, info: ValidationInfo) -> Tuning:
        if "model" in info.data:
            for layer in tuning.boundaries:
                try:
                    BACKBONES[info.data["model"].backbone].check_layer(layer)
                except ValueError as error:
                    raise ValueError(f"boundaries: {layer!r} {error}") from None
        return tuning

    @field_validator("tuning")
    @classmethod
    def _something_is_searched(cls, tuning: Tuning, info: ValidationInfo) -> Tuning:
        solved = "training" in info.data and info.data["training"].phase_1.optimizer == SOLVER
        if tuning.trials and solved and not tuning.searches_fine_tuning:
            raise ValueError(
                f"trials: phase 1 solves the head ({SOLVER}), which leaves no learning rate to search for; give "
                "tuning.fine_tuning_rates, tuning.boundaries, or both"
            )
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
        return Environment(settings_cls), init_settings

    @property
    def schema_path(self) -> Path:
        """The reviewed schema of the dataset, named after it; if it may be inferred, named after the pipeline."""
        named_after = self.name if self.data_gate.infer_schema else self.data.source.schema_name
        reviewed = reviewed_schema(f"{named_after}.pbtxt")
        may_be_inferred = self.data_gate.infer_schema and not reviewed.is_file()
        return self.run.root / "schemas" / reviewed.name if may_be_inferred else reviewed

    @property
    def reviewed_schema(self) -> Path:
        """The path of the schema, which exists.

        Raises:
          UserError: if the dataset has none yet.
        """
        if not self.schema_path.is_file():
            raise UserError(
                f"There is no schema {self.schema_path}: run `graftline schema --data <this data>` and review the result."
            )
        return self.schema_path

    @property
    def files(self) -> list[Path]:
        """The files that settings name and that results depend on."""
        return [path for path in (self.schema_path, Path(self.model.weights)) if path.is_file()]

    @property
    def pipeline_root(self) -> Path:
        """Where artifacts are kept."""
        return self.run.root / "pipelines" / self.name

    @property
    def work_dir(self) -> Path:
        """The folder of cached features, which outlive a failed run and also serve other pipelines on the same data."""
        return self.run.root / "work"

    @property
    def accepted_data(self) -> Path:
        """The file that lists accepted data, one line per acceptance."""
        return self.run.root / "accepted" / f"{self.name}.jsonl"

    @property
    def metadata_path(self) -> Path:
        """The SQLite file of the metadata store."""
        return self.run.root / "metadata" / f"{self.name}.sqlite"

    @property
    def push_dir(self) -> Path:
        """The folder that a model server watches: models are pushed to it, one folder per version."""
        return self.run.serving_dir / self.name
