"""Which split an image belongs to: its bytes decide, and in a class that they leave without a split the other images too.

Where the dataset itself gives splits, an image that is given to validation or test stays there, and none comes to it: bytes
decide about the images of training, between training and what the dataset does not give.

Each class gives test and validation at least one image where it has three. Where its hashes leave test without one, test
gets the image with the lowest hash, and validation the lowest of the rest. As the class grows, those images give way to
lower ones and to those that belong there by themselves: they move from test to validation and training, and not back. Only
a class whose hashes leave nothing to train on lends training an image that it takes back later.
"""

import hashlib
import itertools
from collections.abc import Collection, Iterable
from typing import NamedTuple

import apache_beam as beam

from graftline.artifacts.examples import SPLITS, TEST, TRAIN, VALIDATION
from graftline.settings.data import Splits

LOWEST = 3  # hashes that are kept of a class in a split, which lends two at most and keeps one


class Digests(NamedTuple):
    """Hashes of an image: as it came, which decides its split, and as its example holds it, which finds it again."""

    original: str
    kept: str


Tally = tuple[int, tuple[Digests, ...]]  # how many images, and the lowest of their hashes


def digest_of(image: bytes) -> str:
    """Returns the hash of an encoded image that decides its split."""
    return hashlib.sha256(image).hexdigest()


def free_splits(given: Collection[str]) -> tuple[str, ...]:
    """Returns the splits that bytes decide between, in their order: all but those that the dataset gives.

    Args:
      given: the splits that the dataset gives, training among them; none where it gives none.
    """
    return tuple(name for name in SPLITS if name == TRAIN or name not in given)


def split_of(digest: str, splits: Splits, free: tuple[str, ...] = SPLITS) -> str:
    """Returns the name of the split that an image belongs to by itself.

    Args:
      digest: its hash.
      splits: fraction of each split.
      free: the splits that it may belong to, which share all images as their fractions are to each other.
    """
    position = int(digest[:16], 16) / 2**64
    shares = [getattr(splits, name) for name in free]
    # Of all splits the fractions are what they are, to the last bit
    scale = 1 if free == SPLITS else sum(shares)
    edges = itertools.accumulate(share / scale for share in shares)
    return next((name for name, edge in zip(free, edges, strict=True) if position < edge), free[-1])


class TallyFn(beam.CombineFn):
    """Counts images, and keeps the lowest of their hashes: of any number of images a few hundred bytes."""

    def create_accumulator(self) -> Tally:
        """Returns the tally of no image."""
        return 0, ()

    def add_input(self, tally: Tally, digests: Digests) -> Tally:
        """Returns a tally with one image more."""
        return tally[0] + 1, _lowest([*tally[1], digests])

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        """Returns the tally of all images of several."""
        counts, digests = zip(*tallies, strict=True)
        return sum(counts), _lowest(itertools.chain(*digests))

    def extract_output(self, tally: Tally) -> Tally:
        """Returns a tally as it is."""
        return tally


def _lowest(digests: Iterable[Digests]) -> tuple[Digests, ...]:
    return tuple(sorted(set(digests))[:LOWEST])


def lent(lowest: dict[str, list[Digests]], free: tuple[str, ...] = SPLITS) -> dict[Digests, str]:
    """Returns the images of a class that go to another split than their own, by their hashes, with that split.

    A class of two images gives test and training one each; the only one of a class is for training, for what nothing was
    learnt of cannot be measured.

    Args:
      lowest: of each split the LOWEST hashes of the class in it, in order.
      free: the splits that lend and take.
    """
    held = {split: list(lowest.get(split, ())) for split in free}
    count = sum(map(len, held.values()))
    wanted = [(TRAIN,), (TEST, TRAIN), (TEST, VALIDATION, TRAIN)][min(count, 3) - 1] if count else ()
    moves: dict[Digests, str] = {}
    for split in wanted:
        if split in free and not held[split]:
            # Splits are in the order of their hashes. Test takes the lowest of all, so that it never has to take it later
            lender = next(one for one in free if len(held[one]) > (one in wanted and split != TEST))
            digests = held[lender].pop(0)
            held[split].append(digests)
            moves[digests] = split
    return moves
