"""Which of very many perceptual hashes are near each other; memory grows with the hashes, and not with their pairs.

Cut into one piece more than bits may differ, two near hashes agree in at least one piece (multi-index hashing: M. Norouzi,
A. Punjani, D. Fleet, Fast Search in Hamming Space with Multi-Index Hashing, 2012): only those that do are compared.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NEAR = 4  # bits in which the hashes of two images of the same thing may differ
BITS = 64
MOST = 1 << 20  # pairs that are held at once
FEW = 500  # hashes that are compared before anything else is tried

Pairs = tuple[np.ndarray, np.ndarray]  # numbers of the one hashes, and of those that are near them


class Neighbours(NamedTuple):
    """What there is about each hash.

    Attributes:
      first: of each split the first image whose hash is this one or near it, int64 [splits, hashes]; NONE where none is.
      series: of hashes that are linked by near ones the same number, int [hashes].
    """

    first: np.ndarray
    series: np.ndarray


NONE = np.iinfo(np.int64).max


def neighbours(hashes: np.ndarray, of_image: np.ndarray, splits: np.ndarray, images: np.ndarray) -> Neighbours:
    """Finds what is near each hash.

    Args:
      hashes: distinct, uint64 [hashes].
      of_image: the number of each image's hash, int [images].
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
      hashes: distinct, uint64 [hashes].
    """
    yield from _pairs(hashes, np.arange(len(hashes)), np.arange(BITS))


def _pairs(hashes: np.ndarray, among: np.ndarray, positions: np.ndarray) -> Iterator[Pairs]:
    """Yields the pairs among some hashes that agree in all other positions than these."""
    if len(among) > FEW:
        pieces = np.array_split(positions, NEAR + 1)
        groups = [_agreeing(hashes, among, piece) for piece in pieces]
        # Where most agree in most pieces, cutting them again would only compare them more often
        if sum(len(group) ** 2 for of_piece in groups for group in of_piece) < len(among) ** 2 / 2:
            for piece, of_piece in zip(pieces, groups, strict=True):
                for group in of_piece:
                    yield from _pairs(hashes, group, np.setdiff1d(positions, piece))
            return
    yield from _compared(hashes, among)


def _agreeing(hashes: np.ndarray, among: np.ndarray, piece: np.ndarray) -> list[np.ndarray]:
    """Returns groups of two hashes or more that agree in a piece."""
    mask = np.bitwise_or.reduce(np.uint64(1) << piece.astype(np.uint64))
    pieces = hashes[among] & mask
    order = np.argsort(pieces, kind="stable")
    ends = np.flatnonzero(np.diff(pieces[order])) + 1
    return [group for group in np.split(among[order], ends) if len(group) > 1]


def _compared(hashes: np.ndarray, among: np.ndarray) -> Iterator[Pairs]:
    """Yields the pairs among some hashes, each of which is compared with all behind it."""
    rows = max(1, MOST // max(len(among), 1))
    for start in range(0, len(among), rows):
        one, other = among[start : start + rows], among[start:]
        differing = np.bitwise_count(hashes[one][:, None] ^ hashes[other])
        found, near = np.nonzero(np.triu(differing <= NEAR, 1))
        yield one[found], other[near]


def _gathered(found: Iterator[Pairs]) -> Iterator[Pairs]:
    """Yields as many pairs at once as may be held: most groups have few, and each yield costs as much as hashes."""
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
    """Returns the series of hashes once those of these pairs are linked as well."""
    size = len(series)
    links = coo_array((np.ones(len(one), bool), (series[one], series[other])), (size, size))
    _, joined = connected_components(links, directed=False)
    return joined[series]
