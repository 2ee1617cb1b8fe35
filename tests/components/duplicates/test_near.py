"""Near hashes are those that comparing all pairs finds, however they cluster, and their pairs do not fill memory."""

import tracemalloc

import numpy as np
import pytest

from components.duplicates import near
from components.duplicates.near import NEAR, NONE


def flipped(hashes: np.ndarray, bits: int, random: np.random.Generator) -> np.ndarray:
    """Returns hashes that differ from these in `bits` bits."""
    masks = [sum(1 << int(bit) for bit in random.choice(64, bits, replace=False)) for _ in hashes]
    return hashes ^ np.array(masks, np.uint64)


def scattered(random: np.random.Generator) -> np.ndarray:
    """Returns hashes like those of photos, with neighbours at every distance around the limit."""
    hashes = random.integers(0, 2**63, 1200, dtype=np.uint64)
    return np.concatenate([hashes, *(flipped(hashes[:20], bits, random) for bits in range(1, 8))])


def gathered(random: np.random.Generator) -> np.ndarray:
    """Returns hashes like those of drawings on white: many near a few centers."""
    centers = random.integers(0, 2**63, 3, dtype=np.uint64).repeat(500)
    return np.concatenate([flipped(centers, bits, random) for bits in (1, 2, 3, 5, 9)])


def in_a_corner(random: np.random.Generator) -> np.ndarray:
    """Returns hashes that share most of their bits, either the first or the last ones."""
    low = random.integers(0, 2**18, 1000, dtype=np.uint64)
    return np.concatenate([low, low << np.uint64(46)])


@pytest.mark.parametrize("few", [1, near.FEW])
@pytest.mark.parametrize("made", [scattered, gathered, in_a_corner])
def test_pairs_are_those_of_comparing_all(made, few, monkeypatch):
    monkeypatch.setattr(near, "FEW", few)
    monkeypatch.setattr(near, "MOST", 10_000)  # so that comparisons are split up
    hashes = np.unique(made(np.random.default_rng(0)))
    rows, columns = np.nonzero(np.triu(np.bitwise_count(hashes[:, None] ^ hashes) <= NEAR, 1))
    found = {pair for one, other in near.pairs(hashes) for pair in zip(one.tolist(), other.tolist(), strict=True)}
    assert {(min(pair), max(pair)) for pair in found} == set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert len(rows) > 80


def test_first_and_series_are_those_of_comparing_all():
    random = np.random.default_rng(0)
    hashes = np.unique(gathered(random))
    images = random.permutation(3 * len(hashes))
    of_image, splits = random.integers(0, len(hashes), len(images)), random.integers(0, 3, len(images))
    found = near.neighbours(hashes, of_image, splits, images)
    alike = np.bitwise_count(hashes[:, None] ^ hashes) <= NEAR
    for number in range(0, len(hashes), 97):
        for split in range(3):
            there = images[alike[number][of_image] & (splits == split)]
            assert found.first[split, number] == there.min(initial=NONE)
    for number in range(0, len(hashes), 397):
        reached = alike[number]
        while (further := alike[reached].any(axis=0)).sum() > reached.sum():
            reached = further
        np.testing.assert_array_equal(found.series == found.series[number], reached)


def test_no_images_have_no_neighbours():
    nothing = np.array([], int)
    found = near.neighbours(nothing.astype(np.uint64), nothing, nothing, nothing)
    assert found.first.shape[1] == 0 and found.series.shape == (0,)


def test_so_many_hashes_that_are_all_near_each_other_take_little_memory():
    every = np.concatenate([np.zeros(1, np.uint64), np.uint64(1) << np.arange(64, dtype=np.uint64)])
    hashes = np.unique(np.bitwise_xor.outer(every, every))  # all within two bits of one hash, and four of each other
    of_image = np.arange(len(hashes))
    tracemalloc.start()
    found = near.neighbours(hashes, of_image, np.zeros(len(hashes), int), of_image)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(hashes) > 2000 and set(found.series) == {found.series[0]}
    assert most < 200e6
