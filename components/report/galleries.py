"""The images of the report: which ones to look at, and one pass over the examples that finds them."""

import functools
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from components.report.content import Gallery, GalleryImage
from components.report.label_errors import Judged
from graftline.artifacts import duplicates, records
from graftline.artifacts.evaluation import Predictions
from graftline.artifacts.examples import HEIGHT, IMAGE, IMAGE_ID, LABEL_NAME, SPLITS, TEST, WIDTH
from graftline.features.pooled import Row

SHOWN = 24  # images, or pairs, in a gallery
GLANCE = (64, 64)  # smallest size to which a JPEG is decoded for its brightness


class Example(NamedTuple):
    """An image from the examples."""

    image: bytes
    image_id: str
    row: Row
    label: str


class Wanted(NamedTuple):
    """Images to look for, by id and by place."""

    ids: set[str]
    rows: set[Row]

    def has(self, example: Example) -> bool:
        """Returns whether an image is among them."""
        return example.image_id in self.ids or example.row in self.rows


class Look(NamedTuple):
    """What one example looks like."""

    image: bytes
    image_id: str
    label: str
    width: int
    height: int
    brightness: float  # mean of its gray values in [0, 255]; NaN if nobody needs it, or Pillow cannot read the image


@dataclass
class Seen:
    """What a pass over the examples found.

    Attributes:
      widths, heights, labels: of every example.
      pixels, brightness: of the test examples by id.
      by_id, by_row: the wanted images, without their bytes if only their names were wanted.
    """

    widths: list[int] = field(default_factory=list)
    heights: list[int] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    pixels: dict[str, int] = field(default_factory=dict)
    brightness: dict[str, float] = field(default_factory=dict)
    by_id: dict[str, Example] = field(default_factory=dict)
    by_row: dict[Row, Example] = field(default_factory=dict)


def see(examples_uri: str, shown: Wanted, named: Wanted) -> Seen:
    """Passes over the examples of all splits.

    Args:
      examples_uri: folder of the splits.
      shown: images whose bytes are wanted.
      named: images of which only the names are wanted.
    """
    seen = Seen()
    for split in SPLITS:
        looks = records.each(examples_uri, split, functools.partial(_look, measured=split == TEST))
        for number, look in enumerate(looks):
            seen.widths.append(look.width)
            seen.heights.append(look.height)
            seen.labels.append(look.label)
            if split == TEST:
                seen.pixels[look.image_id] = look.width * look.height
                seen.brightness[look.image_id] = look.brightness
            example = Example(look.image, look.image_id, (split, number), look.label)
            if shown.has(example) or named.has(example):
                kept = example if shown.has(example) else example._replace(image=b"")
                seen.by_id[kept.image_id] = seen.by_row[kept.row] = kept
    return seen


def _look(record: bytes, measured: bool) -> Look:
    values = tf.train.Example.FromString(record).features.feature
    image, image_id, label = (values[name].bytes_list.value[0] for name in (IMAGE, IMAGE_ID, LABEL_NAME))
    width, height = (values[name].int64_list.value[0] for name in (WIDTH, HEIGHT))
    brightness = _brightness(image) if measured else float("nan")
    return Look(image, image_id.decode(errors="backslashreplace"), label.decode(), width, height, brightness)


def _brightness(image: bytes) -> float:
    try:
        pixels = Image.open(io.BytesIO(image))
        pixels.draft("L", GLANCE)  # decodes a JPEG at down to an eighth of its size, if that is enough
        return float(np.asarray(pixels.convert("L")).mean())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return float("nan")  # TensorFlow reads a few images that Pillow does not


@dataclass(frozen=True)
class Knowledge:
    """What is known about the images before any of them is read.

    Attributes:
      classes: class names in the order of their labels.
      predictions: what the Evaluator kept.
      copies: what Duplicates found.
      features: the feature folder of each split.
      balanced: whether all classes had the same weight in training.
      judged: what `label_errors` found.
      gone: feature folders that it needed and that no longer exist.
    """

    classes: list[str]
    predictions: Predictions
    copies: duplicates.Report
    features: dict[str, str]
    balanced: bool
    judged: Judged
    gone: list[str]

    def shown(self) -> Wanted:
        """Returns the images that galleries show."""
        numbers = [*mistaken(self.predictions)[:SHOWN], *unsure(self.predictions)[:SHOWN]]
        alike = {image_id for pair in self.copies.alike[:SHOWN] for image_id in pair.values()}
        return Wanted(
            {self.predictions.image_ids[number] for number in numbers} | self.contradicted() | alike,
            # More, because some of them may be among the contradictions
            {self.judged.rows[number] for number in self.judged.suspects[: SHOWN + len(self.contradicted())]},
        )

    def named(self) -> Wanted:
        """Returns the images that `suspicions` names."""
        alike = {image_id for pair in self.copies.alike for image_id in pair.values()}
        copied = {image_id for group in self.copies.copied for image_id in group}
        return Wanted(
            self.contradicted() | alike | copied, {self.judged.rows[number] for number in self.judged.suspects}
        )

    def judgement(self, example: Example) -> tuple[str, float]:
        """Returns the class and confidence of a classifier that had not seen an image; "" and 0 if none judged it."""
        number = self._numbers.get(example.row)
        if number is None:
            return "", 0.0
        return self.classes[self.judged.predicted[number]], float(self.judged.confidence[number])

    @functools.cached_property
    def _numbers(self) -> dict[Row, int]:
        return {row: number for number, row in enumerate(self.judged.rows)}

    def contradicted(self) -> set[str]:
        """Returns the ids of images whose exact bytes have several labels."""
        return {image_id for group in self.copies.contradictions for image_id in group}


def mistaken(predictions: Predictions) -> list[int]:
    """Returns the numbers of the test examples that the candidate gets wrong, the most confident first."""
    confidence, wrong = predictions.candidate.max(axis=1), predictions.predicted != predictions.labels
    order = np.argsort(-confidence, kind="stable")
    return order[wrong[order]].tolist()


def unsure(predictions: Predictions) -> list[int]:
    """Returns the numbers of the test examples, those whose two likeliest classes are closest first."""
    two = np.sort(predictions.candidate, axis=1)[:, -2:]
    return np.argsort(two[:, 1] - two[:, 0], kind="stable").tolist()


def galleries(knowledge: Knowledge, seen: Seen) -> list[Gallery]:
    """Returns all galleries.

    Args:
      knowledge: what is known about the images.
      seen: the images.
    """
    wrong, close = mistaken(knowledge.predictions), unsure(knowledge.predictions)
    return [
        Gallery(
            "mistakes",
            "Confident mistakes",
            "Test images that the model gets wrong, the most confident first: look for what they have in common.",
            [_tested(knowledge, seen, number) for number in wrong[:SHOWN]],
            len(wrong),
        ),
        Gallery(
            "uncertain",
            "Least certain",
            "Test images whose two likeliest classes are closest: more images like these would teach the model the most.",
            [_tested(knowledge, seen, number) for number in close[:SHOWN]],
            len(close),
        ),
        _label_errors(knowledge, seen),
        Gallery(
            "near_duplicates",
            "Near-duplicates across splits",
            "Pairs of images that look alike and are in two splits: they make validation and test scores look too good.",
            [image for pair in knowledge.copies.alike[:SHOWN] for image in _alike(knowledge, seen, pair)],
            knowledge.copies.leaked,
        ),
    ]


def _tested(knowledge: Knowledge, seen: Seen, number: int) -> GalleryImage:
    example, probabilities = (
        seen.by_id[knowledge.predictions.image_ids[number]],
        knowledge.predictions.candidate[number],
    )
    note = f"{probabilities[knowledge.predictions.labels[number]]:.1%} for {example.label}"
    return _image(example, knowledge.classes[probabilities.argmax()], probabilities.max(), note)


def _image(example: Example, predicted: str, confidence: float, note: str) -> GalleryImage:
    return GalleryImage(
        example.image, example.image_id, example.row[0], example.label, predicted, float(confidence), note
    )


def _label_errors(knowledge: Knowledge, seen: Seen) -> Gallery:
    why = (
        "Images that have two labels, then those that a classifier on the frozen features, without having seen them, "
        "puts in another class: correct the labels, or keep the images as hard cases."
    )
    if knowledge.gone:
        why = (
            "Images that have two labels. Graftline did not look for others, because the cached features are gone "
            f"from {knowledge.gone[0]}: train again to see them."
        )
    groups = knowledge.copies.contradictions
    certain = [_contradicted(knowledge, seen, image_id, group) for group in groups for image_id in group]
    places = {seen.by_id[image_id].row for image_id in knowledge.contradicted()}
    likely = [number for number in knowledge.judged.suspects if knowledge.judged.rows[number] not in places]
    shown = [_suspected(knowledge, seen, number) for number in likely[: max(SHOWN - len(certain), 0)]]
    return Gallery("label_errors", "Likely label errors", why, [*certain[:SHOWN], *shown], len(certain) + len(likely))


def _contradicted(knowledge: Knowledge, seen: Seen, image_id: str, group: dict[str, str]) -> GalleryImage:
    example = seen.by_id[image_id]
    return _image(example, *knowledge.judgement(example), contradiction(image_id, group))


def contradiction(image_id: str, group: dict[str, str]) -> str:
    """Says which other labels an image has.

    Args:
      image_id: its id.
      group: the class of each image with the same bytes, by id.
    """
    others = ", ".join(f"{other} (labeled {label})" for other, label in group.items() if other != image_id)
    return f"same image as {others}"


def _suspected(knowledge: Knowledge, seen: Seen, number: int) -> GalleryImage:
    judged, example = knowledge.judged, seen.by_row[knowledge.judged.rows[number]]
    note = f"{judged.own[number]:.1%} for {example.label}"
    return _image(example, knowledge.classes[judged.predicted[number]], judged.confidence[number], note)


def _alike(knowledge: Knowledge, seen: Seen, pair: dict[str, str]) -> Iterator[GalleryImage]:
    for split, image_id in pair.items():
        (other_split, other), *_ = [item for item in pair.items() if item != (split, image_id)]
        example = seen.by_id[image_id]
        yield _image(example, *knowledge.judgement(example), f"looks like {other} in {other_split}")
