"""Finds images that occur more than once, as copies or as look-alikes."""

import hashlib
import io
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import imagehash
import numpy as np
import tensorflow as tf
from PIL import Image

from components.duplicates import near
from graftline.artifacts.duplicates import Report
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LABEL_NAME, TEST, TRAIN
from graftline.data import decoding, orientation

LISTED = 100  # examples of each kind in the report


class Seen(NamedTuple):
    """What the search needs to know about an image."""

    image_id: str
    split: str
    label: str
    digest: bytes
    looks: int | None  # perceptual hash; None if it cannot be computed


def see(record: bytes, split: str) -> Seen:
    """Returns what the search needs to know about an image.

    Args:
      record: a tf.Example.
      split: name of its split.
    """
    values = tf.train.Example.FromString(record).features.feature
    image, image_id, label = (values[name].bytes_list.value[0] for name in (IMAGE, IMAGE_ID, LABEL_NAME))
    name = image_id.decode(errors="backslashreplace")
    # One text per class, instead of one per image, in memory
    return Seen(name, split, sys.intern(label.decode()), hashlib.sha256(image).digest(), _looks(image))


def _looks(image: bytes) -> int | None:
    try:
        pixels = Image.open(io.BytesIO(image))
        pixels.draft("L", (64, 64))  # a JPEG is decoded at an eighth of its size if that is enough
        bits = imagehash.phash(_upright(pixels, decoding.oriented(image))).hash
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # TensorFlow reads a few images that Pillow cannot
    return int.from_bytes(np.packbits(bits).tobytes())


def _upright(pixels: Image.Image, number: int) -> Image.Image:
    """Turns an image as the Transform graph does: a copy may have turned pixels instead of an orientation tag."""
    if number == orientation.UPRIGHT:
        return pixels
    grey = np.asarray(pixels.convert("L"))  # as the hash sees it
    return Image.fromarray(orientation.upright(grey[..., None], number).numpy()[..., 0])


def find(seen: list[Seen]) -> Report:
    """Returns the copies and look-alikes among images, which come split by split."""
    groups = _copies(seen)
    contradictions = [group for group in groups if len({image.label for image in group}) > 1]
    looks = _Looks(seen)
    alike = looks.across_splits()
    return Report(
        images=len(seen),
        copies=sum(len(group) - 1 for group in groups),
        copied=[[image.image_id for image in group] for group in groups[:LISTED]],
        contradictions=[{image.image_id: image.label for image in group} for group in contradictions],
        held_out=sum(image.split != TRAIN for image in seen),
        leaked=len(alike),
        leaked_ids=looks.leaked(),
        alike=[{seen[number].split: seen[number].image_id for number in pair} for pair in alike[:LISTED]],
        series=looks.series(),
    )


def _copies(seen: list[Seen]) -> list[list[Seen]]:
    """Returns the images of which there are several."""
    counts = Counter(image.digest for image in seen)
    groups: dict[bytes, list[Seen]] = defaultdict(list)
    for image in seen:
        if counts[image.digest] > 1:
            groups[image.digest].append(image)
    return list(groups.values())


class _Looks:
    """Images by their perceptual hashes; an image without one looks like no other."""

    def __init__(self, seen: list[Seen]) -> None:
        self._seen = seen
        told = [number for number, image in enumerate(seen) if image.looks is not None]
        self._numbers = np.array(told, np.int64)
        looks = np.array([seen[number].looks for number in told], np.uint64)
        hashes, self._hash_of = np.unique(looks, return_inverse=True)
        self._splits = list(dict.fromkeys(image.split for image in seen))
        self._split_of = np.array([self._splits.index(seen[number].split) for number in told], int)
        self._near = near.neighbours(hashes, self._hash_of, self._split_of, self._numbers)

    def across_splits(self) -> list[tuple[int, int]]:
        """Returns pairs of numbers: an image of validation or test, and one of another split that it looks like."""
        firsts = self._near.first[:, self._hash_of]
        firsts[self._split_of, np.arange(firsts.shape[1])] = near.NONE  # an image's own split does not count
        others = firsts.min(axis=0, initial=near.NONE)
        held_out = np.array([split != TRAIN for split in self._splits], bool)[self._split_of]
        pairs = zip(self._numbers[held_out].tolist(), others[held_out].tolist(), strict=True)
        return [(number, other) for number, other in pairs if other != near.NONE]

    def leaked(self) -> list[str]:
        """Returns the ids of the test images that look like a training image."""
        if not {TRAIN, TEST} <= set(self._splits):
            return []
        trained = (self._near.first[self._splits.index(TRAIN)] != near.NONE)[self._hash_of]
        tested = self._split_of == self._splits.index(TEST)
        return [self._seen[number].image_id for number in self._numbers[trained & tested]]

    def series(self) -> list[list[tuple[str, int]]]:
        """Returns the places of images that belong together: each looks like, or is a copy of, another of its series."""
        counts = Counter(self._keys())
        series: dict[int | bytes, list[tuple[str, int]]] = defaultdict(list)
        places: Counter[str] = Counter()
        for key, image in zip(self._keys(), self._seen, strict=True):
            if counts[key] > 1:
                series[key].append((image.split, places[image.split]))
            places[image.split] += 1
        return list(series.values())

    def _keys(self) -> Iterator[int | bytes]:
        """Yields what the images of a series have in common: its number, or, without a hash, their bytes."""
        series = np.full(len(self._seen), -1)
        series[self._numbers] = self._near.series[self._hash_of]
        for image, key in zip(self._seen, series, strict=True):
            yield int(key) if image.looks is not None else image.digest
