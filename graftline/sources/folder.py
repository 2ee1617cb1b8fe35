"""A folder of photos as a dataset: one folder per class, such folders in each split, or a table of the classes.

If it has spans, each span is a dataset.
"""

import hashlib
import itertools
import json
import os
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graftline.base import photos
from graftline.base.errors import UserError
from graftline.base.paths import FOLDER_PREFIX, absolute, from_here
from graftline.base.raw_image import RawImage, read_file
from graftline.sources import checks, holdings, labels
from graftline.sources.holdings import File, Holdings
from graftline.sources.source import Reading, Wanted

BEYOND = "beyond data.max_examples"
PIECE = 100  # files that a worker of Beam reads at a time
STEM_LENGTH, HASH_LENGTH = 40, 6  # characters in the name of runs on a folder without a configuration
_LISTED: ContextVar[dict[tuple[Any, ...], Holdings] | None] = ContextVar("_LISTED", default=None)


@contextmanager
def listed_once() -> Iterator[None]:
    """Makes a run list a folder once, so that settings, fingerprint and reader see the same files.

    The reader is the last that needs the list, so it forgets it: a million files would take 0.3 GB until the run ends.
    """
    if _LISTED.get() is not None:
        yield
        return
    token = _LISTED.set({})
    try:
        yield
    finally:
        _LISTED.reset(token)


@dataclass(frozen=True)
class Folder:
    """A folder of photos.

    Attributes:
      path: the folder, with all spans; relative to the project.
      wanted: how it is to be read.
    """

    path: str
    wanted: Wanted

    @cached_property
    def _collection(self) -> Path:
        return absolute(Path(self.path))

    @cached_property
    def folder(self) -> Path:
        """The folder that contains the classes: the span's folder, if there are spans."""
        return photos.span_folder(self._collection, self.wanted.span)

    @property
    def title(self) -> str:
        """Its title in lists of runs."""
        return f"{self._collection.name}/"

    @property
    def schema_name(self) -> str:
        """The name of its schema."""
        return self._collection.name

    def check(self, here: bool) -> None:
        """Raises ValueError if it must be here and is not a folder of photos of at least two classes."""
        if not here:
            return
        checks.check_folder(self.folder)
        if self._table and not self._table.is_file():
            raise ValueError(f"there is no table of classes {self._table}; give a CSV file, or leave data.labels out")
        checks.check_classes(self.held())

    def on_volume(self, mount: Path) -> str:
        """Returns the folder as pods see it; a relative path is on the volume."""
        if not (mount / self.path).is_relative_to(mount):
            raise UserError(
                f"data.dataset = '{FOLDER_PREFIX}{self.path}' is not on the volume: copy it there, and give a folder "
                f"relative to {mount}."
            )
        return f"{FOLDER_PREFIX}{mount / self.path}"

    def alone(self) -> tuple[str, str]:
        """Returns the folder, relative to the current folder, and a name for its runs."""
        folder = from_here(self.path)
        return f"{FOLDER_PREFIX}{folder}", name_of(folder)

    def argument(self) -> str:
        """Returns the argument of `graftline run` for it, without a configuration."""
        return self.path

    def fingerprint(self) -> str:
        """Returns a hash that changes when a file that is read or left out does, by name, size and time."""
        files = (self.folder / file.path for file in self.held().files if file.problem != labels.MISSING)
        fingerprint = photos.files_fingerprint(self.folder, files)
        if self._table is None:
            return fingerprint
        return hashlib.sha256(fingerprint.encode() + self._table.read_bytes()).hexdigest()

    def held(self) -> Holdings:
        """Returns what the folder contains; within `listed_once`, what it contained at the first call.

        Raises:
          ValueError: if a table of classes cannot be used.
        """
        kept, which = _LISTED.get(), (self.folder, self._table, self.wanted.honoured)
        if kept is None:
            return self._list()
        if which not in kept:
            kept[which] = self._list()
        return kept[which]

    def images(self, limit: int | None) -> Reading:
        """Returns a reader of the photos, in an order that mixes the classes."""
        import apache_beam as beam

        held = self.held()
        if (kept := _LISTED.get()) is not None:
            kept.clear()
        # In the folder's order, training would see one class after the other.
        files = sorted(held.files, key=lambda file: hashlib.sha256(os.fsencode(file.path)).digest())[:limit]
        pieces = [_packed(files[start : start + PIECE]) for start in range(0, len(files), PIECE)]
        read = beam.Create(pieces) | beam.FlatMap(_read, str(self.folder))
        beyond = Counter({BEYOND: len(held.files) - len(files)})
        return Reading(read, held.classes, tuple(held.given), held.skipped + beyond)

    def count(self) -> int | None:
        """Returns how many photos there are; None if they cannot be read, which `check` reports."""
        try:
            return len(self.held().images())
        except OSError:
            return None

    def size(self) -> dict[str, Any]:
        """Returns how many photos there are, how many bytes they take, and what is left out."""
        held = self.held()
        files = held.images()
        size = sum(file.stat().st_size for file in files)
        return {"images": len(files), "bytes": size, "urls": [], "left_out": held.left_out()}

    def prepare(self, archive: Path) -> None:
        """Refuses: there is nothing to prepare."""
        raise UserError(
            f"{FOLDER_PREFIX}{self.path} is a folder, which needs no archive: run the pipeline on it as it is."
        )

    def _list(self) -> Holdings:
        if self._table:
            return labels.by_table(self.folder, self._table)
        return holdings.by_split(self.folder, self.wanted.honoured) or holdings.by_class(self.folder)

    @property
    def _table(self) -> Path | None:
        return absolute(self.wanted.labels) if self.wanted.labels else None


def _packed(files: list[File]) -> bytes:
    """Returns files as little text as possible: Beam holds several copies of what a pipeline is created with."""
    return zlib.compress(json.dumps(files).encode())


def _read(piece: bytes, folder: str) -> Iterator[RawImage]:
    """Reads packed files, except those that are left out."""
    for file in itertools.starmap(File, json.loads(zlib.decompress(piece))):
        name = os.fsencode(file.path)
        read = RawImage(None, file.label, name, file.problem) if file.problem else read_file((name, file.label), folder)
        yield read._replace(split=file.split)


def name_of(folder: Path) -> str:
    """Returns the name of runs on a folder: a legal form of the folder's name, and a hash of its path.

    So two folders with the same name in different places have separate histories.

    Args:
      folder: an absolute path.
    """
    plain = unicodedata.normalize("NFKD", folder.name).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:STEM_LENGTH]
    if not stem[:1].isalpha():
        stem = f"photos_{stem}".rstrip("_")
    return f"{stem}_{hashlib.sha256(os.fsencode(folder)).hexdigest()[:HASH_LENGTH]}"
