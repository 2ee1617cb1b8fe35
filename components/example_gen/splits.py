"""Which split an image belongs to: its bytes decide, and in a class that they leave without a split the other images too.

Each class gives test and validation at least one image where it has three. Where its hashes leave test without one, test
gets the image with the lowest hash, and validation the lowest of the rest. As the class grows, those images give way to
lower ones and to those that belong there by themselves: they move from test to validation and training, and not back. Only
a class whose hashes leave nothing to train on lends training an image that it takes back later.
"""

import hashlib
import itertools
from collections.abc import Iterable

import apache_beam as beam

from graftline.artifacts.examples import SPLITS, TEST, TRAIN, VALIDATION
from graftline.settings.data import Splits

LOWEST = 3  # hashes that are kept of a class in a split, which lends two at most and keeps one

Tally = tuple[int, tuple[str, ...]]  # how many images, and the lowest of their hashes


def digest_of(image: bytes) -> str:
    """Returns the hash of an encoded image that decides its split."""
    return hashlib.sha256(image).hexdigest()


def split_of(digest: str, splits: Splits) -> str:
    """Returns the name of the split that an image belongs to by itself.

    Args:
      digest: its hash.
      splits: fraction of each split.
    """
    position = int(digest[:16], 16) / 2**64
    edges = itertools.accumulate(getattr(splits, name) for name in SPLITS)
    return next((name for name, edge in zip(SPLITS, edges, strict=True) if position < edge), SPLITS[-1])


class TallyFn(beam.CombineFn):
    """Counts images, and keeps the lowest of their hashes: of any number of images a few hundred bytes."""

    def create_accumulator(self) -> Tally:
        """Returns the tally of no image."""
        return 0, ()

    def add_input(self, tally: Tally, digest: str) -> Tally:
        """Returns a tally with one image more."""
        return tally[0] + 1, _lowest([*tally[1], digest])

    def merge_accumulators(self, tallies: Iterable[Tally]) -> Tally:
        """Returns the tally of all images of several."""
        counts, digests = zip(*tallies, strict=True)
        return sum(counts), _lowest(itertools.chain(*digests))

    def extract_output(self, tally: Tally) -> Tally:
        """Returns a tally as it is."""
        return tally


def _lowest(digests: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(digests))[:LOWEST])


def lent(lowest: dict[str, list[str]]) -> dict[str, str]:
    """Returns the images of a class that go to another split than their own, by their hash, with that split.

    A class of two images gives test and training one each; the only one of a class is for training, for what nothing was
    learnt of cannot be measured.

    Args:
      lowest: of each split the LOWEST hashes of the class in it, in order.
    """
    held = {split: list(lowest.get(split, ())) for split in SPLITS}
    wanted = [(TRAIN,), (TEST, TRAIN), (TEST, VALIDATION, TRAIN)][min(sum(map(len, held.values())), 3) - 1]
    moves: dict[str, str] = {}
    for split in wanted:
        if not held[split]:
            # Splits are in the order of their hashes. Test takes the lowest of all, so that it never has to take it later
            lender = next(one for one in SPLITS if len(held[one]) > (one in wanted and split != TEST))
            digest = held[lender].pop(0)
            held[split].append(digest)
            moves[digest] = split
    return moves
