"""TfdsExampleGen: reads a TFDS set or a folder of photos into train, validation and test examples.

An example holds the picture's bytes exactly as they were encoded, its size, its label, the label's name and its id
(`components/features.py`). Whatever TensorFlow's decoder reads is accepted: greyscale, palette, RGBA, CMYK and 16-bit
pictures become 3 channels of 8 bits when they are decoded; of a GIF the first frame counts, while animated WebP is not
read. An EXIF orientation is ignored in training and serving alike, because that decoder ignores it. What does not decode
is left out, listed with its reason in `left_out.jsonl`, and stops the run when there is too much of it.

The split of a picture follows from its bytes alone, so copies of one photo never fall into two splits, and a picture
keeps its split when others are added.

Pictures never pass a shuffle, for Beam's local runner keeps shuffled data in memory: each worker writes what it reads.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import tensorflow as tf
from apache_beam.pvalue import TaggedOutput
from tfx.components.example_gen import utils
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_component, base_beam_executor, base_driver, executor_spec
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.proto import example_gen_pb2
from tfx.proto.orchestration.driver_output_pb2 import DriverOutput
from tfx.types import Artifact, artifact_utils, standard_artifacts
from tfx.types.channel import OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components import datasets, features
from components.decoding import Size
from components.pictures import Picture, examine, source, split_of
from settings import Data, UserError

EXAMPLES = "examples"
FINGERPRINT = utils.FINGERPRINT_PROPERTY_NAME
COUNTS = "counts"  # property of the artifact: JSON, examples by split and label name
LEFT_OUT = "left_out"  # property of the artifact: JSON, pictures by reason
LEFT_OUT_FILE = "left_out.jsonl"
COUNTS_FILE = "counts.jsonl"


def _sort_out(picture: Picture, data: Data, label_names: list[str]) -> Iterator[Any]:
    """Sends a picture to its split, or to those left out."""
    found = examine(picture, data.max_pixels)
    if isinstance(found, str) or picture.image is None:
        yield TaggedOutput(LEFT_OUT, {"id": picture.image_id.decode(errors="backslashreplace"), "reason": found})
        return
    split, name = split_of(picture.image, data.splits), label_names[picture.label]
    yield TaggedOutput(COUNTS, (split, name))
    yield TaggedOutput(split, _example(picture, found, name))


def _example(picture: Picture, size: Size, label_name: str) -> bytes:
    texts = {
        features.IMAGE: picture.image,
        features.LABEL_NAME: label_name.encode(),
        features.IMAGE_ID: picture.image_id,
    }
    numbers = {features.LABEL: picture.label, features.WIDTH: size.width, features.HEIGHT: size.height}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in texts.items()}
    for key, value in numbers.items():
        feature[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    # The order of a map's keys is each process's own: features that a run has cached would not be found by the next
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString(deterministic=True)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the examples of all splits, what was left out, and the label names."""

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
          UserError: where the dataset cannot be had, has too many bad pictures, or leaves a split or a class empty.
        """
        self._log_startup(input_dict, output_dict, exec_properties)
        data = _data(exec_properties)
        examples = artifact_utils.get_single_instance(output_dict[EXAMPLES])
        read, label_names = source(data)
        _check_names(label_names)
        self._write(read, data, label_names, examples.uri)
        left_out = sorted(_lines(examples.uri, LEFT_OUT_FILE), key=lambda line: (line["id"], line["reason"]))
        counts = {(line["split"], line["label"]): line["count"] for line in _lines(examples.uri, COUNTS_FILE)}
        _check_left_out(left_out, sum(counts.values()), data.max_bad_images)
        _check_counts(counts, label_names)
        _finish(examples, left_out, counts, label_names)

    def _write(self, read: beam.PTransform, data: Data, label_names: list[str], uri: str) -> None:
        with self._make_beam_pipeline() as pipeline:
            sort_out = beam.FlatMap(_sort_out, data, label_names).with_outputs(LEFT_OUT, COUNTS, *features.SPLITS)
            sorted_out = pipeline | "Read" >> read | "SortOut" >> sort_out
            for split in features.SPLITS:
                prefix = str(Path(uri, f"Split-{split}", "data_tfrecord"))
                sorted_out[split] | f"Write[{split}]" >> beam.io.WriteToTFRecord(prefix)
            counts = sorted_out[COUNTS] | "Count" >> beam.combiners.Count.PerElement()
            counts = counts | beam.MapTuple(lambda key, count: {"split": key[0], "label": key[1], "count": count})
            for file, lines in {LEFT_OUT_FILE: sorted_out[LEFT_OUT], COUNTS_FILE: counts}.items():
                text = beam.io.WriteToText(str(Path(uri, file)), num_shards=1, shard_name_template="")
                lines | f"ToJson[{file}]" >> beam.Map(json.dumps) | f"Write[{file}]" >> text


def _data(exec_properties: dict[str, Any]) -> Data:
    values = {key: value for key, value in exec_properties.items() if key in Data.model_fields}
    return Data(**values | {"splits": json.loads(exec_properties["splits"])})


def _check_names(label_names: list[str]) -> None:
    # They are kept in a text file, a line each.
    bad = [name for name in label_names if name.encode(errors="ignore").decode().splitlines() != [name]]
    if bad:
        raise UserError(f"The class name {bad[0]!r} is not one line of UTF-8 text: rename the class.")
    if len(label_names) < 2:
        raise UserError(f"The dataset has one class only, {label_names[0]!r}: choose one with at least two.")


def _lines(uri: str, file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(uri, file).read_text().splitlines()]


def _check_left_out(left_out: list[dict[str, str]], used: int, limit: float) -> None:
    total = len(left_out) + used
    if not left_out or len(left_out) / total <= limit:
        return
    [(reason, count)] = Counter(line["reason"] for line in left_out).most_common(1)
    names = ", ".join(repr(line["id"]) for line in [line for line in left_out if line["reason"] == reason][:3])
    raise UserError(
        f"{len(left_out):,} of {total:,} pictures cannot be used, more than data.max_bad_images = {limit:g} allows; most "
        f"often ({count:,} times): {reason}, such as {names}; repair or remove them, or raise data.max_bad_images."
    )


def _check_counts(counts: dict[tuple[str, str], int], label_names: list[str]) -> None:
    total, cure = sum(counts.values()), "add pictures, or raise data.max_examples where it is set"
    empty_classes = [name for name in label_names if not any(label == name for _, label in counts)]
    if empty_classes:
        raise UserError(f"Of {total:,} pictures, none is of class {', '.join(empty_classes)}: {cure}.")
    empty_splits = [name for name in features.SPLITS if not any(split == name for split, _ in counts)]
    if empty_splits:
        raise UserError(f"Of only {total:,} pictures, none is left for {', '.join(empty_splits)}: {cure}.")


def _finish(
    examples: Artifact, left_out: list[dict[str, str]], counts: dict[tuple[str, str], int], label_names: list[str]
) -> None:
    Path(examples.uri, LEFT_OUT_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in left_out))
    Path(examples.uri, COUNTS_FILE).unlink()
    features.write_label_names(examples.uri, label_names)
    examples.split_names = artifact_utils.encode_split_names(list(features.SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    by_split = {split: {name: counts.get((split, name), 0) for name in label_names} for split in features.SPLITS}
    examples.set_string_custom_property(COUNTS, json.dumps(by_split))
    examples.set_string_custom_property(LEFT_OUT, json.dumps(Counter(line["reason"] for line in left_out)))


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Puts the dataset's fingerprint into the cache key: an unchanged dataset is not read again."""

    def fingerprint(self, exec_properties: dict[str, Any]) -> str:
        """Returns what changes when the dataset does."""
        return datasets.fingerprint(_data(exec_properties))

    def run(self, execution_info: ExecutionInfo) -> DriverOutput:
        """Computes the fingerprint, and prepares a TFDS set for that where needed.

        Args:
          execution_info: of this execution.

        Raises:
          UserError: where a TFDS set cannot be had.
        """
        value = self.fingerprint(execution_info.exec_properties)
        [examples] = execution_info.output_dict[EXAMPLES]
        examples.set_string_custom_property(FINGERPRINT, value)
        output = DriverOutput()
        data_types_utils.set_metadata_value(output.exec_properties[FINGERPRINT], value)
        output.output_artifacts[EXAMPLES].artifacts.append(examples.mlmd_artifact)
        return output


class TfdsExampleGenSpec(ComponentSpec):
    """What goes in and out of TfdsExampleGen."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "dataset": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=str),
        "data_dir": ExecutionParameter(type=str),
        "splits": ExecutionParameter(type=str),
        "max_bad_images": ExecutionParameter(type=float),
        "max_pixels": ExecutionParameter(type=int),
        "max_examples": ExecutionParameter(type=int, optional=True),
        "code": ExecutionParameter(type=str),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {EXAMPLES: ChannelParameter(type=standard_artifacts.Examples)}


class TfdsExampleGen(base_beam_component.BaseBeamComponent):
    """Reads a dataset of labelled pictures into examples, in three splits."""

    SPEC_CLASS = TfdsExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, data: Data, code: str) -> None:
        """Sets up the component.

        Args:
          data: what is read, and how it is split.
          code: hash of the source; the cache of another code is not used.
        """
        values = data.model_dump(mode="json", exclude={"splits"}, exclude_none=True)
        examples = OutputChannel(standard_artifacts.Examples, self, EXAMPLES)
        spec = TfdsExampleGenSpec(**values, splits=data.splits.model_dump_json(), code=code, examples=examples)
        super().__init__(spec=spec)
