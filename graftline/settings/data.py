"""Settings of the data: what to read, how to split it, and how much may be wrong with it."""

from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from graftline.base import photos
from graftline.base.aliases import without_pattern
from graftline.base.paths import ProjectPath, absolute
from graftline.base.photos import LATEST
from graftline.settings.section import Section
from graftline.sources.kinds import source_of
from graftline.sources.source import Source, Wanted

DATA_IS_HERE: ContextVar[bool] = ContextVar("data_is_here", default=True)  # whether folders must be on this machine

HONOUR: Final = "honour"
Fraction = Annotated[float, Field(ge=0, le=1)]


class Splits(Section):
    """Fractions of the data that each split gets; they sum to 1."""

    train: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Fraction that the head and the upper layers learn from."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Fraction that is evaluated after each epoch."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Fraction that only the gate looks at."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train, validation and test sum to {total:g}; change them so that they sum to 1")
        return self


class Data(Section):
    """What to read, and how to split it.

    A folder that contains folders `span-1`, `span-2`, … is a dataset that grows.
    """

    span: Annotated[str, Field(pattern=r"^(latest|\d+)$", coerce_numbers_to_str=True)] = LATEST
    """Number of the span to read, or `latest`; only for a folder that contains spans."""
    labels: ProjectPath | None = None
    """CSV file with one file and its class per row, for a folder of any layout; relative to the project."""
    given_splits: Literal["honour", "merge"] = HONOUR
    """`honour` keeps the dataset's own splits and draws missing ones from train; `merge` joins them and splits again."""
    dataset: str
    """Name of a TFDS set, such as `cats_vs_dogs`, or `folder:<path>` of a folder with one folder of photos per class."""
    data_dir: ProjectPath = Path("output/data")
    """Folder in which TFDS keeps its sets; relative to the project."""
    splits: Splits = Splits()
    """A hash of an image's bytes decides its split, which it keeps as data grows; each split gets every class."""
    max_bad_images: Fraction = 0.01
    """Fraction of the files that may be unreadable, or of an unsupported kind, before the run stops."""
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    """Most pixels, width times height, that an image may claim; larger images are left out as bad."""
    max_examples: Annotated[int, Field(ge=1)] | None = None
    """Maximum number of images to read; if unset, all."""

    @field_validator("dataset")
    @classmethod
    def _dataset_can_be_used(cls, dataset: str, info: ValidationInfo) -> str:
        given = info.data
        honoured = given.get("given_splits", HONOUR) == HONOUR
        wanted = Wanted(given.get("span", LATEST), labels=given.get("labels"), honoured=honoured)
        source_of(dataset, wanted).check(here=DATA_IS_HERE.get())
        return dataset

    @property
    def source(self) -> Source:
        """The dataset, which implements everything that depends on its kind."""
        wanted = Wanted(self.span, self.data_dir, self.labels, self.given_splits == HONOUR)
        return source_of(self.dataset, wanted)

    @field_validator("data_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return without_pattern(absolute(path))


class DataGate(Section):
    """How many copies the data may contain before a run stops. The schema has the other limits."""

    max_duplicates: Fraction = 0.2
    """Fraction of the images that may be exact copies of others."""
    max_contradictions: Fraction = 0.001
    """Fraction of the images that may appear under several labels."""
    max_near_duplicates: Fraction = 0.05
    """Fraction of validation and test that may look like an image of another split."""
    infer_schema: bool = False
    """Whether a run without a reviewed schema infers one, which is kept below `run.root` once all checks pass."""


class Bulk(Section):
    """A folder of unlabeled photos, at any depth, which the model of each run classifies if it is blessed."""

    folder: ProjectPath | None = None
    """The folder; if unset, the pipeline leaves this part out."""

    @field_validator("folder")
    @classmethod
    def _folder_has_photos(cls, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        folder = absolute(folder)
        if DATA_IS_HERE.get() and not (folder.is_dir() and photos.image_files(folder)):
            raise ValueError(f"there is no image in {folder}; give a folder of photos, or leave it out")
        return folder
