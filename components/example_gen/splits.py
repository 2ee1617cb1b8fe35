"""Decides which split an image belongs to: by its bytes and, in a class that these leave without a split, by other images.

If the dataset itself gives splits, images given to validation or test stay there, and no others join them. Bytes then only
divide the training images between training and the splits that the dataset does not give.

Each class of three images or more gives test and validation at least one. If its hashes leave test without one, test gets
the image with the lowest hash, and validation the lowest of the rest. As the class grows, those images give way to lower
hashes and to images that belong there by their own hashes: they move from test to validation and training, and not back.
Only a class whose hashes leave nothing to train on lends training an image that it takes back later.
"""

import hashlib
import itertools
from collections.abc import Collection, Iterable
from typing import NamedTuple

import apache_beam as beam

from graftline.artifacts.examples import SPLITS, TEST, TRAIN, VALIDATION
from graftline.settings.data import Splits

LOWEST = 3  # hashes kept per class and split, because a split lends at most two images and keeps one


class Digests(NamedTuple):
    """Hashes of an image: of its original bytes, to decide its split, and of those in its example, to find it again."""

    original: str
    kept: str


Tally = tuple[int, tuple[Digests, ...]]  # how many images, and the lowest of their hashes


def digest_of(image: bytes) -> str:
    """Returns the hash of an encoded image, which decides its split."""
    return hashlib.sha256(image).hexdigest()


def free_splits(given: Collection[str]) -> tuple[str, ...]:
    """Returns, in order, the splits that bytes decide between: training, and those that the dataset does not give.

    Args:
      given: the splits that the dataset gives, including training; empty if it gives none.
    """
    return tuple(name for name in SPLITS if name == TRAIN or name not in given)


def split_of(digest: str, splits: Splits, free: tuple[str, ...] = SPLITS) -> str:
    """Returns the name of the split that an image belongs to by its own hash.

    Args:
      digest: its hash.
      splits: fraction of each split.
      free: the splits that it may belong to, which share all images in proportion to their fractions.
    """
    position = int(digest[:16], 16) / 2**64
    shares = [getattr(splits, name) for name in free]
    # If all splits are free, their fractions stay exact to the last bit
    scale = 1 if free == SPLITS else sum(shares)
    edges = itertools.accumulate(share / scale for share in shares)
    return next((name for name, edge in zip(free, edges, strict=True) if position < edge), free[-1])


class TallyFn(beam.CombineFn):
    """Counts images and keeps the lowest of their hashes: a few hundred bytes for any number of images."""

    def create_accumulator(self) -> Tally:
        """Returns the tally of no images."""
        return 0, ()

    def add_input(self, tally: Tally, digests: Digests) -> Tally:
        """Returns a tally with one more image."""
        return tally[0] + 1, _lowest([*tally[1], digests])

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        """Returns the tally of the images of several tallies."""
        counts, digests = zip(*tallies, strict=True)
        return sum(counts), _lowest(itertools.chain(*digests))

    def extract_output(self, tally: Tally) -> Tally:
        """Returns a tally unchanged."""
        return tally


def _lowest(digests: Iterable[Digests]) -> tuple[Digests, ...]:
    return tuple(sorted(set(digests))[:LOWEST])


def lent(lowest: dict[str, list[Digests]], free: tuple[str, ...] = SPLITS) -> dict[Digests, str]:
    """Returns the images of a class that go to another split than their own: that split by their hashes.

    A class of two images gives test and training one each. The only image of a class is for training, because measuring a
    class makes no sense if nothing was learned about it.

    Args:
      lowest: the lowest hashes of the class in each split, at most LOWEST, in order.
      free: the splits that lend and borrow.
    """
    held = {split: list(lowest.get(split, ())) for split in free}
    count = sum(map(len, held.values()))
    wanted = [(TRAIN,), (TEST, TRAIN), (TEST, VALIDATION, TRAIN)][min(count, 3) - 1] if count else ()
    moves: dict[Digests, str] = {}
    for split in wanted:
        if split in free and not held[split]:
            # Splits are in the order of their hashes. Test takes the lowest hash of all, and so never has to take it later
            lender = next(one for one in free if len(held[one]) > (one in wanted and split != TEST))
            digests = held[lender].pop(0)
            held[split].append(digests)
            moves[digests] = split
    return moves
