"""Reads the pictures of a dataset, tells which cannot be used and why, and to which split each belongs."""

import hashlib
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import tensorflow as tf
import tensorflow_datasets as tfds

from components import datasets, decoding, features, records
from components.decoding import Size
from photos import class_folders, image_files
from settings import Data, Splits

UNREADABLE = "file cannot be read"
NO_LABEL = "no label"
OUTSIDE = "symbolic link out of the folder"


class Picture(NamedTuple):
    """A picture on its way to an example."""

    image: bytes | None  # as encoded; None where it was not read
    label: int
    image_id: bytes
    problem: str = UNREADABLE  # why it was not read, where it was not


def examine(picture: Picture, max_pixels: int) -> Size | str:
    """Returns the size of a picture that can be used, or in a few words why it cannot.

    Args:
      picture: the picture.
      max_pixels: as for `decoding.refused`.
    """
    if picture.label < 0:  # how TFDS marks what has no label
        return NO_LABEL
    if picture.image is None:
        return picture.problem
    return decoding.examine(picture.image, max_pixels)


def split_of(image: bytes, splits: Splits) -> str:
    """Returns the name of the split that a picture belongs to.

    Args:
      image: the encoded picture.
      splits: fraction of each split.
    """
    position = int.from_bytes(hashlib.sha256(image).digest()[:8]) / 2**64
    edges = itertools.accumulate(getattr(splits, name) for name in features.SPLITS)
    return next(
        (name for name, edge in zip(features.SPLITS, edges, strict=True) if position < edge), features.SPLITS[-1]
    )


def source(data: Data) -> tuple[beam.PTransform, list[str]]:
    """Returns what reads a dataset's pictures into a collection of `Picture`, and the label names in their order.

    Args:
      data: what to read.

    Raises:
      UserError: where a TFDS set cannot be had, or is not one of labelled pictures.
    """
    return _folder_source(data, data.folder) if data.folder else _tfds_source(data)


def _folder_source(data: Data, folder: Path) -> tuple[beam.PTransform, list[str]]:
    classes = class_folders(folder)
    files = [
        (os.fsencode(path.relative_to(folder)), i) for i, label in enumerate(classes) for path in image_files(label)
    ]
    # The folder's order holds one class after the other, which would be the order of training.
    files.sort(key=lambda file: hashlib.sha256(file[0]).digest())
    read = beam.Create(files[: data.max_examples]) | beam.Map(read_file, str(folder))
    return read, [path.name for path in classes]


def read_file(file: tuple[bytes, int], folder: str) -> Picture:
    """Reads a picture; one that cannot be read has the reason.

    Args:
      file: its path in the folder, and its label.
      folder: no link leads out of it.
    """
    name, label = file
    path = Path(folder, os.fsdecode(name))
    if not path.resolve().is_relative_to(Path(folder).resolve()):
        return Picture(None, label, name, OUTSIDE)
    try:
        return Picture(path.read_bytes(), label, name)
    except OSError:
        return Picture(None, label, name)


def _tfds_source(data: Data) -> tuple[beam.PTransform, list[str]]:
    builder = datasets.prepared_builder(data)
    image, label = datasets.image_and_label(builder)
    texts = (key for key, feature in builder.info.features.items() if isinstance(feature, tfds.features.Text))
    image_id = next((key for key in texts if key.endswith(("filename", "file_name"))), "tfds_id")
    wanted = {key: True for key in (image, label, image_id) if key in builder.info.features}
    read = tfds.beam.ReadFromTFDS(
        builder,
        split=_tfds_slices(builder, data.max_examples),
        decoders=tfds.decode.PartialDecoding(wanted, decoders={image: tfds.decode.SkipDecoding()}),
        read_config=tfds.ReadConfig(add_tfds_id=True, options=records.options()),
    )
    return read | beam.Map(_from_tfds, image, label, image_id), builder.info.features[label].names


def _tfds_slices(builder: tfds.core.DatasetBuilder, limit: int | None) -> str:
    """Returns TFDS's name for the first `limit` examples of all splits together."""
    slices = []
    for name, split in builder.info.splits.items():
        take = split.num_examples if limit is None else min(split.num_examples, limit)
        limit = None if limit is None else limit - take
        slices += [f"{name}[:{take}]"] if take else []
    return "+".join(slices)


def _from_tfds(example: dict[str, tf.Tensor], image: str, label: str, image_id: str) -> Picture:
    return Picture(example[image].numpy(), int(example[label]), example[image_id].numpy())
