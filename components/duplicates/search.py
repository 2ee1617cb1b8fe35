"""Finds images that occur more than once, as copies or as look-alikes."""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable

import imagehash
import numpy as np
import tensorflow as tf
from PIL import Image

from components.duplicates import near
from components.duplicates.images import Images, Seen
from graftline.artifacts.duplicates import Report
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LABEL_NAME, TEST, TRAIN
from graftline.data import decoding, orientation

LISTED = 100  # examples of each kind in the report


def see(record: bytes, split: str) -> Seen:
    """Returns what the search needs to know about an image.

    Args:
      record: a tf.Example.
      split: name of its split.
    """
    values = tf.train.Example.FromString(record).features.feature
    image, image_id, label = (values[name].bytes_list.value[0] for name in (IMAGE, IMAGE_ID, LABEL_NAME))
    name = image_id.decode(errors="backslashreplace")
    return Seen(name, split, label.decode(), hashlib.sha256(image).digest(), _looks(image))


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


def find(seen: Iterable[Seen]) -> Report:
    """Returns the copies and look-alikes among images, which come split by split."""
    images = Images.of(seen)
    groups = [[images[number] for number in group] for group in images.copies()]
    contradictions = [group for group in groups if len({image.label for image in group}) > 1]
    looks = _Looks(images)
    alike = looks.across_splits()
    return Report(
        images=len(images.splits),
        copies=sum(len(group) - 1 for group in groups),
        copied=[[image.image_id for image in group] for group in groups[:LISTED]],
        contradictions=[{image.image_id: image.label for image in group} for group in contradictions],
        held_out=int(np.count_nonzero(images.held_out())),
        leaked=len(alike),
        leaked_ids=looks.leaked(),
        alike=[{images[number].split: images[number].image_id for number in pair} for pair in alike[:LISTED]],
        series=looks.series(),
    )


class _Looks:
    """Images by their perceptual hashes; an image without one looks like no other."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._numbers = np.flatnonzero(images.hashed)
        hashes, self._hash_of = np.unique(images.looks[self._numbers], return_inverse=True)
        self._split_of = images.splits[self._numbers]
        self._near = near.neighbours(hashes, self._hash_of, self._split_of, self._numbers)

    def across_splits(self) -> list[tuple[int, int]]:
        """Returns pairs of numbers: an image of validation or test, and one of another split that it looks like."""
        firsts = self._near.first[:, self._hash_of]
        firsts[self._split_of, np.arange(firsts.shape[1])] = near.NONE  # an image's own split does not count
        others = firsts.min(axis=0, initial=near.NONE)
        found = self._images.held_out()[self._numbers] & (others != near.NONE)
        return list(zip(self._numbers[found].tolist(), others[found].tolist(), strict=True))

    def leaked(self) -> list[str]:
        """Returns the ids of the test images that look like a training image."""
        names = self._images.split_names
        if not {TRAIN, TEST} <= set(names):
            return []
        trained = (self._near.first[names.index(TRAIN)] != near.NONE)[self._hash_of]
        tested = self._split_of == names.index(TEST)
        return [self._images[number].image_id for number in self._numbers[trained & tested].tolist()]

    def series(self) -> list[list[tuple[str, int]]]:
        """Returns the places of images that belong together: each looks like, or is a copy of, another of its series."""
        # What the images of a series have in common: its number, or, without a hash, their bytes
        keys = self._images.digests + len(self._images.digests)
        keys[self._numbers] = self._near.series[self._hash_of]
        _, key, counts = np.unique(keys, return_inverse=True, return_counts=True)
        series: dict[int, list[tuple[str, int]]] = defaultdict(list)
        names, splits, places = self._images.split_names, self._images.splits, self._images.places()
        for number in np.flatnonzero(counts[key] > 1):
            series[key[number]].append((names[splits[number]], int(places[number])))
        return list(series.values())
