"""Settings of the data: what is read, how it is split, and what may be wrong with it."""

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

DATA_IS_HERE: ContextVar[bool] = ContextVar("data_is_here", default=True)  # folders must be on this machine

HONOUR: Final = "honour"
Fraction = Annotated[float, Field(ge=0, le=1)]


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

    span: Annotated[str, Field(pattern=r"^(latest|\d+)$", coerce_numbers_to_str=True)] = LATEST
    """Number of a folder `span-<number>`, or `latest`; only where the dataset is a folder that holds such ones."""
    labels: ProjectPath | None = None
    """CSV file with a file and its class in each row, for a folder of any shape; relative to the project."""
    given_splits: Literal["honour", "merge"] = HONOUR
    """Whether splits that the dataset itself has are kept, what is missing drawn from train, or are split anew as one."""
    dataset: str
    """Name of a TFDS set, such as `cats_vs_dogs`, or `folder:<path>` of a folder with a folder of photos per class."""
    data_dir: ProjectPath = Path("output/data")
    """Where TFDS keeps its sets; relative to the project."""
    splits: Splits = Splits()
    """How images are split: by a hash of their bytes, so they keep their split when others come; each class gets some."""
    max_bad_images: Fraction = 0.01
    """Part of the files that may be unreadable, or of kinds that are not read, before the run is stopped."""
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    """Width times height that an image may claim; larger ones are left out as bad."""
    max_examples: Annotated[int, Field(ge=1)] | None = None
    """How many images are read at most; unset reads all."""

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
        """The dataset, which answers everything that depends on its kind."""
        wanted = Wanted(self.span, self.data_dir, self.labels, self.given_splits == HONOUR)
        return source_of(self.dataset, wanted)

    @field_validator("data_dir")
    @classmethod
    def _resolve(cls, path: Path) -> Path:
        return without_pattern(absolute(path))


class DataGate(Section):
    """How many copies the data may hold before a run is stopped; what else may be wrong with it is in the schema."""

    max_duplicates: Fraction = 0.2
    """Part of the images that may be exact copies of others."""
    max_contradictions: Fraction = 0.001
    """Part of the images that may be there under several labels."""
    max_near_duplicates: Fraction = 0.05
    """Part of validation and test that may look like an image of another split."""
    infer_schema: bool = False
    """Whether a run whose schema nobody has reviewed infers one, kept below `run.root` once all checks are passed."""


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
