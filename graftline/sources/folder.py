"""A folder of photos as a dataset: a folder for each class, with several of them where it has spans."""

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graftline.base import photos
from graftline.base.errors import UserError
from graftline.base.paths import FOLDER_PREFIX, absolute, from_here
from graftline.base.raw_image import read_file

STEM_LENGTH, HASH_LENGTH = 40, 6  # characters of the name of runs on a folder that is given alone


@dataclass(frozen=True)
class Folder:
    """A folder of photos.

    Attributes:
      path: the folder, with all spans; relative to the project.
      span: a number, or `latest`.
    """

    path: str
    span: str

    @cached_property
    def _collection(self) -> Path:
        return absolute(Path(self.path))

    @cached_property
    def folder(self) -> Path:
        """The folder of the classes: of the span, where there are spans."""
        return photos.span_folder(self._collection, self.span)

    @property
    def title(self) -> str:
        """As lists of runs show it."""
        return f"{self._collection.name}/"

    @property
    def schema_name(self) -> str:
        """The name of its schema."""
        return self._collection.name

    def check(self, here: bool) -> None:
        """Raises ValueError where it must be here, and is not a folder of at least two classes of photos."""
        if here:
            photos.check(self.folder)

    def on_volume(self, mount: Path) -> str:
        """Returns the folder as pods have it; where a relative one is, is on the volume."""
        if not (mount / self.path).is_relative_to(mount):
            raise UserError(
                f"data.dataset = '{FOLDER_PREFIX}{self.path}' is not on the volume: copy it there, and give a folder "
                f"relative to {mount}."
            )
        return f"{FOLDER_PREFIX}{mount / self.path}"

    def alone(self) -> tuple[str, str]:
        """Returns the folder as seen from where the user is, and a name for its runs."""
        folder = from_here(self.path)
        return f"{FOLDER_PREFIX}{folder}", name_of(folder)

    def argument(self) -> str:
        """Returns what is given to `graftline run` for it, without a configuration."""
        return self.path

    def fingerprint(self) -> str:
        """Returns what changes when a file does, by name, size and time."""
        files = [path for label in photos.class_folders(self.folder) for path in photos.files(label)]
        return photos.files_fingerprint(self.folder, files)

    def images(self, limit: int | None) -> tuple[Any, list[str]]:
        """Returns what reads the photos, in an order that mixes the classes, and the names of the classes."""
        import apache_beam as beam

        classes = photos.class_folders(self.folder)
        files = [
            (os.fsencode(path.relative_to(self.folder)), number)
            for number, label in enumerate(classes)
            for path in photos.files(label)  # also of other kinds: what is left out is counted, and said why
        ]
        # The folder's order holds one class after the other, which would be the order of training.
        files.sort(key=lambda file: hashlib.sha256(file[0]).digest())
        read = beam.Create(files[:limit]) | beam.Map(read_file, str(self.folder))
        return read, [path.name for path in classes]

    def count(self) -> int | None:
        """Returns how many photos are there; None where there is no such folder."""
        return len(self._files()) if self.folder.is_dir() else None

    def size(self) -> dict[str, Any]:
        """Returns how many photos are there, and how many bytes they take."""
        files = self._files()
        return {"images": len(files), "bytes": sum(file.stat().st_size for file in files), "urls": []}

    def prepare(self, archive: Path) -> None:
        """Refuses: there is nothing to prepare."""
        raise UserError(
            f"{FOLDER_PREFIX}{self.path} is a folder, which needs no archive: run the pipeline on it as it is."
        )

    def _files(self) -> list[Path]:
        return [path for label in photos.class_folders(self.folder) for path in photos.image_files(label)]


def name_of(folder: Path) -> str:
    """Returns the name of runs on a folder: the folder's own made legal, and a hash of where it is.

    Two folders of one name at different places so have histories of their own.

    Args:
      folder: an absolute path.
    """
    plain = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:STEM_LENGTH]
    if not stem[:1].isalpha():
        stem = f"photos_{stem}".rstrip("_")
    return f"{stem}_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:HASH_LENGTH]}"
