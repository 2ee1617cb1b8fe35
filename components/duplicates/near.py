"""Finds which of very many perceptual hashes are near each other; memory grows with the hashes, not with their pairs.

If hashes are cut into one more piece than bits may differ, two near ones agree in at least one piece. Only hashes that do
are compared (multi-index hashing: M. Norouzi, A. Punjani, D. Fleet, Fast Search in Hamming Space with Multi-Index Hashing,
2012).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEAR = 4  # bits in which the hashes of two look-alikes may differ
BITS = 64
MOST = 1 << 20  # pairs held in memory at once
FEW = 500  # up to this many hashes are simply compared with each other

Pairs = tuple[np.ndarray, np.ndarray]  # indices of hashes, and of the hashes near them


class Neighbours(NamedTuple):
    """What is near each hash.

    Attributes:
      first: for each split, the first image whose hash is this one or near it, int64 [splits, hashes]; NONE if none is.
      series: the same number for hashes that are linked by near ones, int [hashes].
    """

    first: np.ndarray
    series: np.ndarray


NONE = np.iinfo(np.int64).max


def neighbours(hashes: np.ndarray, of_image: np.ndarray, splits: np.ndarray, images: np.ndarray) -> Neighbours:
    """Finds what is near each hash.

    Args:
      hashes: distinct hashes, uint64 [hashes].
      of_image: the index of each image's hash, int [images].
      splits: the number of its split, from 0, int [images].
      images: its own number, int64 [images].
    """
    own = np.full((splits.max(initial=-1) + 1, len(hashes)), NONE)
    np.minimum.at(own, (splits, of_image), images)
    first, series = own.copy(), np.arange(len(hashes))
    for one, other in _gathered(pairs(hashes)):
        for there, seen in zip(own, first, strict=True):
            np.minimum.at(seen, one, there[other])
            np.minimum.at(seen, other, there[one])
        series = _linked(series, one, other)
    return Neighbours(first, series)


def pairs(hashes: np.ndarray) -> Iterator[Pairs]:
    """Yields the pairs that differ in at most NEAR bits, each at least once, at most MOST of them at a time.

    Args:
      hashes: distinct hashes, uint64 [hashes].
    """
    yield from _pairs(hashes, np.arange(len(hashes)), np.arange(BITS))


def _pairs(hashes: np.ndarray, among: np.ndarray, positions: np.ndarray) -> Iterator[Pairs]:
    """Yields the near pairs among some hashes that agree in all positions except these."""
    if len(among) > FEW:
        pieces = np.array_split(positions, NEAR + 1)
        groups = [_agreeing(hashes, among, piece) for piece in pieces]
        # If most agree in most pieces, cutting them again would only compare them more often
        if sum(len(group) ** 2 for of_piece in groups for group in of_piece) < len(among) ** 2 / 2:
            for piece, of_piece in zip(pieces, groups, strict=True):
                for group in of_piece:
                    yield from _pairs(hashes, group, np.setdiff1d(positions, piece))
            return
    yield from _compared(hashes, among)


def _agreeing(hashes: np.ndarray, among: np.ndarray, piece: np.ndarray) -> list[np.ndarray]:
    """Returns groups of two or more hashes that agree in a piece."""
    mask = np.bitwise_or.reduce(np.uint64(1) << piece.astype(np.uint64))
    pieces = hashes[among] & mask
    order = np.argsort(pieces, kind="stable")
    ends = np.flatnonzero(np.diff(pieces[order])) + 1
    return [group for group in np.split(among[order], ends) if len(group) > 1]


def _compared(hashes: np.ndarray, among: np.ndarray) -> Iterator[Pairs]:
    """Yields the near pairs among some hashes, comparing each hash with all that follow it."""
    rows = max(1, MOST // max(len(among), 1))
    for start in range(0, len(among), rows):
        one, other = among[start : start + rows], among[start:]
        differing = np.bitwise_count(hashes[one][:, None] ^ hashes[other])
        found, near = np.nonzero(np.triu(differing <= NEAR, 1))
        yield one[found], other[near]


def _gathered(found: Iterator[Pairs]) -> Iterator[Pairs]:
    """Yields as many pairs at once as allowed: most groups have few, and each yield costs time for every hash."""
    held: list[Pairs] = []
    count = 0
    for some in found:
        held.append(some)
        count += len(some[0])
        if count >= MOST:
            yield _joined(held)
            held, count = [], 0
    if count:
        yield _joined(held)


def _joined(held: list[Pairs]) -> Pairs:
    one, other = (np.concatenate(numbers) for numbers in zip(*held, strict=True))
    return one, other


def _linked(series: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns the series of all hashes after linking those of these pairs."""
    size = len(series)
    links = coo_array((np.ones(len(one), bool), (series[one], series[other])), (size, size))
    _, joined = connected_components(links, directed=False)
    return joined[series]
