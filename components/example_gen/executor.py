"""The executor of TfdsExampleGen: reads, checks, splits and writes a dataset."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from apache_beam.pvalue import TaggedOutput
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.proto import example_gen_pb2
from tfx.types import Artifact, artifact_utils

from components.example_gen.moves import move, moves
from components.example_gen.splits import Digests, Tally, TallyFn, digest_of, free_splits, split_of
from graftline.artifacts.examples import (
    COUNTS,
    COUNTS_FILE,
    EXAMPLES,
    GIVEN,
    HEIGHT,
    IMAGE,
    IMAGE_ID,
    LABEL,
    LABEL_NAME,
    LEFT_OUT,
    LEFT_OUT_FILE,
    SKIPPED,
    SPLITS,
    TRAIN,
    WIDTH,
    write_label_names,
)
from graftline.base.errors import UserError
from graftline.base.raw_image import RawImage
from graftline.data.decoding import Size
from graftline.data.images import BATCH, examine_all, readable
from graftline.settings.data import Data
from graftline.sources.holdings import told_splits
from graftline.sources.source import Reading


def _sort_out(batch: list[RawImage], data: Data, label_names: list[str], free: tuple[str, ...]) -> Iterator[Any]:
    """Sends images to their splits, or to the files left out."""
    images = [readable(raw, data.max_pixels) for raw in batch]
    for raw, image, found in zip(batch, images, examine_all(images, data.max_pixels), strict=True):
        yield from _sorted(raw, image, found, data, label_names, free)


def _sorted(
    raw: RawImage, image: RawImage, found: Size | str, data: Data, label_names: list[str], free: tuple[str, ...]
) -> Iterator[Any]:
    if isinstance(found, str) or image.image is None or raw.image is None:
        yield TaggedOutput(LEFT_OUT, {"id": image.image_id.decode(errors="backslashreplace"), "reason": found})
        return
    # A photo's split must not change with the library that turns it into a JPEG
    original, name = digest_of(raw.image), label_names[image.label]
    digests = Digests(original, original if image.image is raw.image else digest_of(image.image))
    own = split_of(digests.original, data.splits, free)
    split = own if raw.split in ("", TRAIN) else raw.split
    yield TaggedOutput(COUNTS, ((split, name), digests))
    yield TaggedOutput(split, _example(image, found, name))


def _example(image: RawImage, size: Size, label_name: str) -> bytes:
    texts = {
        IMAGE: image.image,
        LABEL_NAME: label_name.encode(),
        IMAGE_ID: image.image_id,
    }
    numbers = {LABEL: image.label, WIDTH: size.width, HEIGHT: size.height}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in texts.items()}
    for key, value in numbers.items():
        feature[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    # Each process has its own order of a map's keys; with it, a run would not find features that another one cached
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the examples of all splits, the list of files left out, and the label names."""

    def Do(  # noqa: N802  TFX's name
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads, checks, splits and writes a dataset.

        Args:
          input_dict: empty.
          output_dict: `examples`, one artifact.
          exec_properties: those of `TfdsExampleGenSpec`.

        Raises:
          UserError: if the dataset is not available, has too many bad images, or leaves a split or a class empty.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        data = data_of(exec_properties)
        examples = artifact_utils.get_single_instance(output_dict[EXAMPLES])
        reading = data.source.images(data.max_examples)
        _check_names(reading.label_names)
        if told := told_splits(reading.given):
            print(f"{told}.", flush=True)
        self._write(reading, data, examples.uri)
        left_out = sorted(_lines(examples.uri, LEFT_OUT_FILE), key=lambda line: (line["id"], line["reason"]))
        counts = _move_lent(examples.uri, data, free_splits(reading.given))
        _check_left_out(left_out, sum(counts.values()), data.max_bad_images)
        _check_counts(counts, reading.label_names)
        _finish(examples, left_out, counts, reading)

    def _write(self, reading: Reading, data: Data, uri: str) -> None:
        with self._make_beam_pipeline() as pipeline:
            sort_out = beam.FlatMap(_sort_out, data, reading.label_names, free_splits(reading.given))
            batches = pipeline | "Read" >> reading.images | beam.BatchElements(BATCH, BATCH)
            sorted_out = batches | "SortOut" >> sort_out.with_outputs(LEFT_OUT, COUNTS, *SPLITS)
            for split in SPLITS:
                prefix = str(Path(uri, f"Split-{split}", "data_tfrecord"))
                sorted_out[split] | f"Write[{split}]" >> beam.io.WriteToTFRecord(prefix)
            counts = sorted_out[COUNTS] | "Count" >> beam.CombinePerKey(TallyFn()) | beam.MapTuple(_as_line)
            for file, lines in {LEFT_OUT_FILE: sorted_out[LEFT_OUT], COUNTS_FILE: counts}.items():
                text = beam.io.WriteToText(str(Path(uri, file)), num_shards=1, shard_name_template="")
                lines | f"ToJson[{file}]" >> beam.Map(json.dumps) | f"Write[{file}]" >> text


def _as_line(key: tuple[str, str], tally: Tally) -> dict[str, Any]:
    return {"split": key[0], "label": key[1], "count": tally[0], "lowest": tally[1]}


def _move_lent(uri: str, data: Data, free: tuple[str, ...]) -> Counter[tuple[str, str]]:
    """Gives small classes images in test and validation; returns how many images each split and class then has."""
    lines = _lines(uri, COUNTS_FILE)
    counts = Counter({(line["split"], line["label"]): line["count"] for line in lines})
    lowest = {(line["split"], line["label"]): [Digests(*one) for one in line["lowest"]] for line in lines}
    counts.update(move(uri, moves(lowest, free), data.splits, free))
    return +counts  # without counts of 0


def data_of(exec_properties: dict[str, Any]) -> Data:
    """Returns the data settings among the properties of an execution."""
    values = {key: value for key, value in exec_properties.items() if key in Data.model_fields}
    return Data(**values | {"splits": json.loads(exec_properties["splits"])})


def _check_names(label_names: list[str]) -> None:
    # The names are stored in a text file, one per line
    bad = [name for name in label_names if name.encode(errors="ignore").decode().splitlines() != [name]]
    if bad:
        raise UserError(f"The class name {bad[0]!r} is not one line of UTF-8 text: rename the class.")
    if len(label_names) < 2:
        raise UserError(f"The dataset has only one class, {label_names[0]!r}: choose one with at least two.")


def _lines(uri: str, file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(uri, file).read_text().splitlines()]


def _check_left_out(left_out: list[dict[str, str]], used: int, limit: float) -> None:
    total = len(left_out) + used
    if not left_out or len(left_out) / total <= limit:
        return
    [(reason, count)] = Counter(line["reason"] for line in left_out).most_common(1)
    names = ", ".join(repr(line["id"]) for line in [line for line in left_out if line["reason"] == reason][:3])
    raise UserError(
        f"{len(left_out):,} of {total:,} files cannot be used, more than data.max_bad_images = {limit:g} allows. The most "
        f"frequent reason ({count:,} times): {reason}, such as {names}. Repair, convert or remove them, or raise "
        "data.max_bad_images."
    )


def _check_counts(counts: dict[tuple[str, str], int], label_names: list[str]) -> None:
    total, cure = sum(counts.values()), "add images or, if data.max_examples is set, raise it"
    empty_classes = [name for name in label_names if not any(label == name for _, label in counts)]
    if empty_classes:
        raise UserError(f"None of the {total:,} images is of class {', '.join(empty_classes)}: {cure}.")
    empty_splits = [name for name in SPLITS if not any(split == name for split, _ in counts)]
    if empty_splits:
        raise UserError(f"With only {total:,} images, none is left for {', '.join(empty_splits)}: {cure}.")


def _finish(
    examples: Artifact, left_out: list[dict[str, str]], counts: dict[tuple[str, str], int], reading: Reading
) -> None:
    Path(examples.uri, LEFT_OUT_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in left_out))
    Path(examples.uri, COUNTS_FILE).unlink()
    write_label_names(examples.uri, reading.label_names)
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    by_split = {split: {name: counts.get((split, name), 0) for name in reading.label_names} for split in SPLITS}
    examples.set_string_custom_property(COUNTS, json.dumps(by_split))
    examples.set_string_custom_property(LEFT_OUT, json.dumps(Counter(line["reason"] for line in left_out)))
    examples.set_string_custom_property(SKIPPED, json.dumps(reading.skipped))
    examples.set_string_custom_property(GIVEN, told_splits(reading.given))
