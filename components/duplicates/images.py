"""What the search for duplicates knows of all images, as columns: objects would take several times as much memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from graftline.artifacts.examples import TRAIN
from graftline.base.batches import batched

AT_ONCE = 4096  # images held as objects
DIGEST = 32  # bytes of a hash
TEXT = pa.dictionary(pa.int32(), pa.string())  # each text is kept once
SCHEMA = pa.schema(
    {"image_id": pa.string(), "split": TEXT, "label": TEXT, "digest": pa.binary(DIGEST), "looks": pa.uint64()}
)


class Seen(NamedTuple):
    """What the search needs to know about an image; its fields are the columns of `SCHEMA`."""

    image_id: str
    split: str
    label: str
    digest: bytes
    looks: int | None  # perceptual hash; None if it cannot be computed


class Name(NamedTuple):
    """What the report says of an image; its fields are those of `Seen`."""

    image_id: str
    split: str
    label: str


@dataclass(frozen=True)
class Images:
    """All images, in order.

    Attributes:
      names: their `Name`, a column each.
      split_names: the splits, in the order of their first images.
      splits: the number of each image's split, int [images].
      digests: a number for each image's bytes, the same for copies, int64 [images].
      hashed: whether an image has a perceptual hash, bool [images].
      looks: its perceptual hash, 0 if it has none, uint64 [images].
    """

    names: pa.Table
    split_names: list[str]
    splits: np.ndarray
    digests: np.ndarray
    hashed: np.ndarray
    looks: np.ndarray

    @classmethod
    def of(cls, seen: Iterable[Seen]) -> Self:
        """Returns images as columns; they come one by one, and are not held as objects."""
        table = pa.Table.from_batches(_batches(seen), SCHEMA).unify_dictionaries()
        digests, splits, looks = (table[name].combine_chunks() for name in ("digest", "split", "looks"))
        return cls(
            names=table.select(Name._fields),
            split_names=splits.dictionary.to_pylist(),
            splits=splits.indices.to_numpy(),
            digests=np.unique(np.frombuffer(digests.buffers()[1], f"V{DIGEST}"), return_inverse=True)[1],
            hashed=looks.is_valid().to_numpy(zero_copy_only=False),
            looks=looks.fill_null(0).to_numpy(),
        )

    def __getitem__(self, number: int) -> Name:
        """Returns the name of one image."""
        return Name(*(column[number].as_py() for column in self.names.columns))

    def copies(self) -> list[list[int]]:
        """Returns the numbers of the images of which there are several, in groups with the same bytes."""
        several = np.flatnonzero(np.bincount(self.digests)[self.digests] > 1)
        groups: dict[int, list[int]] = {}
        for number, digest in zip(several.tolist(), self.digests[several].tolist(), strict=True):
            groups.setdefault(digest, []).append(number)
        return list(groups.values())

    def held_out(self) -> np.ndarray:
        """Returns which images are of validation or test, bool [images]."""
        return np.array([name != TRAIN for name in self.split_names], bool)[self.splits]

    def places(self) -> np.ndarray:
        """Returns the number of each image in its own split, int64 [images]."""
        places = np.zeros(len(self.splits), np.int64)
        for split in range(len(self.split_names)):
            own = np.flatnonzero(self.splits == split)
            places[own] = np.arange(len(own))
        return places


def _batches(seen: Iterable[Seen]) -> Iterator[pa.RecordBatch]:
    for some in batched(seen, AT_ONCE):
        columns = zip(*some, strict=True)
        yield pa.record_batch(
            [pa.array(column, kind) for column, kind in zip(columns, SCHEMA.types, strict=True)], SCHEMA
        )
