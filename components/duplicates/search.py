"""Finds images that are there more than once, byte by byte or to the eye."""

import hashlib
import io
from collections import Counter, defaultdict
from typing import NamedTuple

import imagehash
import numpy as np
import tensorflow as tf
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from graftline.artifacts.duplicates import Report
from graftline.artifacts.examples import IMAGE, IMAGE_ID, LABEL_NAME, TEST, TRAIN
from graftline.data import decoding, orientation

NEAR = 4  # bits in which the hashes of two images of the same thing may differ
BITS = 64
LISTED = 100  # examples of each kind in the report


class Seen(NamedTuple):
    """What is kept of an image."""

    image_id: str
    split: str
    label: str
    digest: bytes
    looks: int | None  # perceptual hash; None where it cannot be had


def see(record: bytes, split: str) -> Seen:
    """Returns what is kept of an image.

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
        pixels.draft("L", (64, 64))  # a JPEG is decoded at an eighth of its size where that is enough
        bits = imagehash.phash(_upright(pixels, decoding.oriented(image))).hash
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # TensorFlow reads a few images that Pillow does not
    return int.from_bytes(np.packbits(bits).tobytes())


def _upright(pixels: Image.Image, number: int) -> Image.Image:
    """Turns an image as the Transform graph does: a copy may have its pixels turned instead of its tag."""
    if number == orientation.UPRIGHT:
        return pixels
    grey = np.asarray(pixels.convert("L"))  # as the hash sees it
    return Image.fromarray(orientation.upright(grey[..., None], number).numpy()[..., 0])


def find(seen: list[Seen]) -> Report:
    """Returns what copies there are among images, which are in the order of their splits."""
    same: dict[bytes, list[Seen]] = defaultdict(list)
    for image in seen:
        same[image.digest].append(image)
    groups = [group for group in same.values() if len(group) > 1]
    contradictions = [group for group in groups if len({image.label for image in group}) > 1]
    near = _near(seen)
    alike = _across_splits(seen, near)
    return Report(
        images=len(seen),
        copies=sum(len(group) - 1 for group in groups),
        copied=[[image.image_id for image in group] for group in groups[:LISTED]],
        contradictions=[{image.image_id: image.label for image in group} for group in contradictions],
        held_out=sum(image.split != TRAIN for image in seen),
        leaked=len(alike),
        leaked_ids=_leaked(seen, near),
        alike=alike[:LISTED],
        series=_series(seen, near),
    )


def _near(seen: list[Seen]) -> dict[int, list[Seen]]:
    """Returns the images that look like each perceptual hash, those that have it themselves first."""
    by_looks: dict[int, list[Seen]] = defaultdict(list)
    for image in seen:
        if image.looks is not None:
            by_looks[image.looks].append(image)
    near = {looks: list(images) for looks, images in by_looks.items()}
    for first, second in near_pairs(np.array(list(by_looks), np.uint64)):
        near[first] += by_looks[second]
        near[second] += by_looks[first]
    return near


def _across_splits(seen: list[Seen], near: dict[int, list[Seen]]) -> list[dict[str, str]]:
    """Returns each image of validation and test that looks like one of another split, with that."""
    alike = []
    for image in seen:
        if image.split != TRAIN and image.looks is not None:
            other = next((other for other in near[image.looks] if other.split != image.split), None)
            if other:
                alike.append({image.split: image.image_id, other.split: other.image_id})
    return alike


def _leaked(seen: list[Seen], near: dict[int, list[Seen]]) -> list[str]:
    """Returns the ids of the test images that look like one of training."""
    trained = {looks for looks, images in near.items() if any(image.split == TRAIN for image in images)}
    return [image.image_id for image in seen if image.split == TEST and image.looks in trained]


def _series(seen: list[Seen], near: dict[int, list[Seen]]) -> list[list[tuple[str, int]]]:
    """Returns the places of images that belong together: each looks like another of its series, or is a copy of it."""
    at = {looks: number for number, looks in enumerate(near)}
    pairs = [
        (at[looks], at[image.looks]) for looks, images in near.items() for image in images if image.looks is not None
    ]
    rows, columns = np.array(pairs, int).reshape(-1, 2).T
    _, of_looks = connected_components(
        coo_array((np.ones(len(pairs)), (rows, columns)), (len(at), len(at))), directed=False
    )
    series: dict[int | bytes, list[tuple[str, int]]] = defaultdict(list)
    numbers: Counter[str] = Counter()
    for image in seen:
        which = image.digest if image.looks is None else int(of_looks[at[image.looks]])
        series[which].append((image.split, numbers[image.split]))
        numbers[image.split] += 1
    return [places for places in series.values() if len(places) > 1]


def near_pairs(hashes: np.ndarray) -> set[tuple[int, int]]:
    """Returns the pairs of hashes that differ in at most NEAR bits.

    Cut into one piece more than bits may differ, two such hashes agree in at least one piece: only those that do are
    compared, so that the work grows with the images and not with their square.

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
