"""Pooled features of all splits, each with the place of its image, for small classifiers outside the network."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graftline.features import cache
from graftline.features.cache import LABEL, POOLED

Row = tuple[str, int]  # a split, and the number of an example in it
Series = Sequence[Sequence[Row]]


class Pooled(NamedTuple):
    """Pooled features of images.

    Attributes:
      rows: the places of the images.
      features: float32 [images, channels].
      labels: int64 [images].
    """

    rows: list[Row]
    features: np.ndarray
    labels: np.ndarray


def missing(folders: dict[str, str]) -> list[str]:
    """Returns the folders that no longer hold features.

    Args:
      folders: the folder of each split's features.
    """
    return [folder for folder in folders.values() if not cache.shards(Path(folder))]


def count(folders: dict[str, str]) -> int:
    """Returns the number of images; all folders must exist."""
    return sum(size for *_, size in _shards(folders))


def read(folders: dict[str, str], most: int) -> Pooled:
    """Returns the features of all splits.

    Args:
      folders: the folder of each split's features; all must exist.
      most: the most images to return; if there are more, they are drawn at random.
    """
    shards = list(_shards(folders))
    sizes = [size for *_, size in shards]
    total = sum(sizes)
    chosen = np.random.default_rng(0).permutation(total)[:most] if total > most else np.arange(total)
    is_chosen = np.zeros(total, bool)
    is_chosen[chosen] = True
    rows, features, labels = [], [], []
    starts = np.cumsum([0, *sizes])
    for (split, first, shard, size), start in zip(shards, starts, strict=False):
        inside = np.flatnonzero(is_chosen[start : start + size])
        rows += [(split, first + int(number)) for number in inside]
        features.append(np.load(shard / f"{POOLED}.npy")[inside])
        labels.append(np.load(shard / f"{LABEL}.npy")[inside])
    return Pooled(rows, np.concatenate(features, dtype=np.float32), np.concatenate(labels))


def firsts(rows: list[Row], series: Series) -> np.ndarray:
    """Returns for each row the number of the first row of its series, or its own number if it is in none.

    Args:
      rows: the places of the images.
      series: the places of images that are look-alikes or copies.
    """
    at, first = {row: number for number, row in enumerate(rows)}, np.arange(len(rows))
    for places in series:
        numbers = [at[place] for place in map(tuple, places) if place in at]
        first[numbers] = min(numbers, default=0)
    return first


def _shards(folders: dict[str, str]) -> Iterator[tuple[str, int, Path, int]]:
    """Yields the split of each shard, the number of its first example there, its folder, and its number of examples."""
    for split, folder in folders.items():
        first = 0
        for shard in cache.shards(Path(folder)):
            size = len(np.load(shard / f"{LABEL}.npy", mmap_mode="r"))
            yield split, first, shard, size
            first += size
