"""Finds pictures that are there more than once, byte by byte or to the eye."""

import hashlib
import io
from collections import defaultdict
from typing import NamedTuple

import imagehash
import numpy as np
import tensorflow as tf
from PIL import Image

from graftline.artifacts.duplicates import Report
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LABEL_NAME, TRAIN

NEAR = 4  # bits in which the hashes of two pictures of the same thing may differ
BITS = 64
LISTED = 100  # examples of each kind in the report


class Seen(NamedTuple):
    """What is kept of a picture."""

    image_id: str
    split: str
    label: str
    digest: bytes
    looks: int | None  # perceptual hash; None where it cannot be had


def see(record: bytes, split: str) -> Seen:
    """Returns what is kept of a picture.

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
        picture = Image.open(io.BytesIO(image))
        picture.draft("L", (64, 64))  # a JPEG is decoded at an eighth of its size where that is enough
        bits = imagehash.phash(picture).hash
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # TensorFlow reads a few pictures that Pillow does not
    return int.from_bytes(np.packbits(bits).tobytes())


def find(seen: list[Seen]) -> Report:
    """Returns what copies there are among pictures."""
    same: dict[bytes, list[Seen]] = defaultdict(list)
    for picture in seen:
        same[picture.digest].append(picture)
    groups = [group for group in same.values() if len(group) > 1]
    contradictions = [group for group in groups if len({picture.label for picture in group}) > 1]
    leaked, alike = _across_splits(seen)
    return Report(
        pictures=len(seen),
        copies=sum(len(group) - 1 for group in groups),
        copied=[[picture.image_id for picture in group] for group in groups[:LISTED]],
        contradictions=[{picture.image_id: picture.label for picture in group} for group in contradictions],
        held_out=sum(picture.split != TRAIN for picture in seen),
        leaked=leaked,
        alike=alike[:LISTED],
    )


def _across_splits(seen: list[Seen]) -> tuple[int, list[dict[str, str]]]:
    """Returns how many pictures of validation and test look like one of another split, and an example of each such pair."""
    by_looks: dict[int, list[Seen]] = defaultdict(list)
    for picture in seen:
        if picture.looks is not None:
            by_looks[picture.looks].append(picture)
    near = {looks: list(pictures) for looks, pictures in by_looks.items()}
    for first, second in near_pairs(np.array(list(by_looks), np.uint64)):
        near[first] += by_looks[second]
        near[second] += by_looks[first]
    alike = []
    for looks, pictures in by_looks.items():
        for picture in pictures:
            other = next((other for other in near[looks] if other.split != picture.split), None)
            if picture.split != TRAIN and other:
                alike.append({picture.split: picture.image_id, other.split: other.image_id})
    return len(alike), alike


def near_pairs(hashes: np.ndarray) -> set[tuple[int, int]]:
    """Returns the pairs of hashes that differ in at most NEAR bits.

    Cut into one piece more than bits may differ, two such hashes agree in at least one piece: only those that do are
    compared, so that the work grows with the pictures and not with their square.

    Args:
      hashes: distinct, uint64 [n].
    """
    pairs: set[tuple[int, int]] = set()
    for positions in np.array_split(np.arange(BITS), NEAR + 1):
        shift, width = np.uint64(positions[0]), np.uint64(len(positions))
        pieces = (hashes >> shift) & ((np.uint64(1) << width) - np.uint64(1))
        order = np.argsort(pieces, kind="stable")
        starts = np.flatnonzero(np.diff(pieces[order], prepend=pieces[order][:1] + np.uint64(1)))
        for group in np.split(hashes[order], starts[1:]):
            pairs |= _compare(group)
    return pairs


def _compare(hashes: np.ndarray) -> set[tuple[int, int]]:
    if len(hashes) < 2:
        return set()
    hashes = np.sort(hashes)
    rows, columns = np.nonzero(np.triu(np.bitwise_count(hashes[:, None] ^ hashes) <= NEAR, 1))
    return {(int(hashes[row]), int(hashes[column])) for row, column in zip(rows, columns, strict=True)}
