"""What reads the images of a dataset, and to which split each belongs."""

import hashlib
import itertools
import os
from pathlib import Path

import apache_beam as beam
import tensorflow as tf
import tensorflow_datasets as tfds

from graftline.artifacts import records
from graftline.artifacts.examples import SPLITS
from graftline.base.photos import class_folders, image_files
from graftline.data import datasets
from graftline.data.images import RawImage, read_file
from graftline.settings.data import Data, Splits


def split_of(image: bytes, splits: Splits) -> str:
    """Returns the name of the split that an image belongs to.

    Args:
      image: the encoded image.
      splits: fraction of each split.
    """
    position = int.from_bytes(hashlib.sha256(image).digest()[:8]) / 2**64
    edges = itertools.accumulate(getattr(splits, name) for name in SPLITS)
    return next((name for name, edge in zip(SPLITS, edges, strict=True) if position < edge), SPLITS[-1])


def source(data: Data) -> tuple[beam.PTransform, list[str]]:
    """Returns what reads a dataset's images into a collection of `RawImage`, and the label names in their order.

    Args:
      data: what to read.

    Raises:
      UserError: where a TFDS set cannot be had, or is not one of labelled images.
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


def _from_tfds(example: dict[str, tf.Tensor], image: str, label: str, image_id: str) -> RawImage:
    return RawImage(example[image].numpy(), int(example[label]), example[image_id].numpy())
