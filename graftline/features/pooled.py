"""Pooled features of all splits, each with the place of its image: what small classifiers beside the network learn from."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graftline.features import cache
from graftline.features.cache import LABEL, POOLED

Row = tuple[str, int]  # a split, and the number of an example in it
Series = Sequence[Sequence[Row]]


class Pooled(NamedTuple):
    """Features of images.

    Attributes:
      rows: which images.
      features: float32 [images, channels].
      labels: int64 [images].
    """

    rows: list[Row]
    features: np.ndarray
    labels: np.ndarray


def missing(folders: dict[str, str]) -> list[str]:
    """Returns the folders of features that are gone.

    Args:
      folders: of each split's features.
    """
    return [folder for folder in folders.values() if not cache.shards(Path(folder))]


def count(folders: dict[str, str]) -> int:
    """Returns how many images there are; the folders are all there."""
    return sum(size for *_, size in _shards(folders))


def read(folders: dict[str, str], most: int) -> Pooled:
    """Returns the features of all splits.

    Args:
      folders: of each split's features, all there.
      most: how many images are taken, drawn at random where there are more.
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
        features.append(np.load(shard / f"{POOLED}.npy")[inside].astype(np.float32))
        labels.append(np.load(shard / f"{LABEL}.npy")[inside])
    return Pooled(rows, np.concatenate(features), np.concatenate(labels))


def firsts(rows: list[Row], series: Series) -> np.ndarray:
    """Returns of each row the number of the first one of its series, its own where it is in none.

    Args:
      rows: which images.
      series: the places of images that look alike or are copies.
    """
    at, first = {row: number for number, row in enumerate(rows)}, np.arange(len(rows))
    for places in series:
        numbers = [at[place] for place in map(tuple, places) if place in at]
        first[numbers] = min(numbers, default=0)
    return first


def _shards(folders: dict[str, str]) -> Iterator[tuple[str, int, Path, int]]:
    """Yields each shard with its split, the number of its first example in the split, and how many it has."""
    for split, folder in folders.items():
        first = 0
        for shard in cache.shards(Path(folder)):
            size = len(np.load(shard / f"{LABEL}.npy", mmap_mode="r"))
            yield split, first, shard, size
            first += size
