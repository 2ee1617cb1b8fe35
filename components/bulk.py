"""Photos without labels, through the pipeline: read into examples, and what TFX's BulkInferrer makes of them into a table.

The nodes are there where `bulk.folder` is set. A folder's pictures are read by TensorFlow's decoder, as those of a dataset;
what cannot be is left out and listed in `left_out.jsonl`.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfx.components import BulkInferrer
from tfx.components.util import examples_utils
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.proto import example_gen_pb2
from tfx.proto.bulk_inferrer_pb2 import ModelSpec
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.artifact import Artifact
from tfx.types.channel import BaseChannel
from tfx.utils import path_utils

from components import datasets, example_gen, features, pictures, predictions
from photos import image_files
from settings import UserError

SPLIT = "unlabelled"
TABLE_FILE = "predictions.csv"


class PredictionsTable(Artifact):
    """`predictions.csv`: path, label and probability of each picture, as `components/predict.py --csv` writes them."""

    TYPE_NAME = "PredictionsTable"


@component
def UnlabelledExampleGen(  # noqa: N802 (a component is named as a class)
    examples: OutputArtifact[standard_artifacts.Examples],
    folder: Parameter[str],
    max_pixels: Parameter[int],
    code: Parameter[str],
) -> None:
    """Reads a folder of photos into examples, each with the picture as it is encoded, and its path in the folder.

    Args:
      examples: one split.
      folder: where the photos are, at any depth.
      max_pixels: a picture that claims more is left out.
      code: hash of the source; the cache of another code is not used.

    Raises:
      UserError: where none of them can be read.
    """
    left_out: list[dict[str, str]] = []
    split = Path(examples.uri, f"Split-{SPLIT}")
    split.mkdir(parents=True)
    count = 0
    with tf.io.TFRecordWriter(str(split / "data_tfrecord.gz"), "GZIP") as writer:
        for picture in _pictures(Path(folder)):
            found = pictures.examine(picture, max_pixels)
            if isinstance(found, str):
                left_out.append({"id": picture.image_id.decode(errors="backslashreplace"), "reason": found})
            else:
                writer.write(_example(picture))
                count += 1
    if not count:
        raise UserError(f"bulk.folder = {folder!r}: none of its {len(left_out):,} pictures can be read; give others.")
    Path(examples.uri, example_gen.LEFT_OUT_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in left_out))
    examples.split_names = artifact_utils.encode_split_names([SPLIT])
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    reasons = Counter(line["reason"] for line in left_out)
    examples.set_string_custom_property(example_gen.LEFT_OUT, json.dumps(reasons))


def _pictures(folder: Path) -> Iterator[pictures.Picture]:
    for path in image_files(folder):
        yield pictures.read_file((os.fsencode(path.relative_to(folder)), 0), str(folder))


def _example(picture: pictures.Picture) -> bytes:
    values = {features.IMAGE: picture.image, features.IMAGE_ID: picture.image_id}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


class Driver(example_gen.Driver):
    """Puts the folder's fingerprint into the cache key."""

    def fingerprint(self, exec_properties: dict[str, Any]) -> str:
        """Returns what changes when a picture does."""
        folder = Path(exec_properties["folder"])
        return datasets.files_fingerprint(folder, image_files(folder))


UnlabelledExampleGen.DRIVER_CLASS = Driver


def bulk_inferrer(examples: BaseChannel, model: BaseChannel, blessing: BaseChannel) -> BulkInferrer:
    """Returns TFX's node that classifies examples, where the model is blessed."""
    spec = ModelSpec(model_signature_name=["serving_scores"])
    return BulkInferrer(examples=examples, model=model, model_blessing=blessing, model_spec=spec)


@component
def PredictionsToTable(  # noqa: N802
    predictions: InputArtifact[standard_artifacts.InferenceResult],
    model: InputArtifact[standard_artifacts.Model],
    table: OutputArtifact[PredictionsTable],
    code: Parameter[str],
) -> None:
    """Turns the logs of BulkInferrer into a CSV file; without any line where the model was not blessed.

    Args:
      predictions: the logs, none where the model was not blessed.
      model: the model, for its class names.
      table: the file.
      code: hash of the source; the cache of another code is not used.
    """
    write_table(Path(predictions.uri), Path(path_utils.serving_model_path(model.uri)), Path(table.uri, TABLE_FILE))


def write_table(logs: Path, model: Path, table: Path) -> None:
    """Writes a line for each prediction.

    Args:
      logs: folder of compressed TFRecords of PredictionLog.
      model: folder of the SavedModel that made them.
      table: the CSV file.
    """
    label_names = features.read_label_names(str(model / features.EXTRA))
    files = sorted(str(path) for path in logs.glob("prediction_logs*"))
    with table.open("w", errors="backslashreplace") as file:
        write = predictions.writer(file, "csv", label_names)
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator() if files else ():
            log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
            example = tf.train.Example.FromString(log.request.inputs[features.EXAMPLES].string_val[0])
            path = os.fsdecode(example.features.feature[features.IMAGE_ID].bytes_list.value[0])
            write(path, np.array(tf.make_ndarray(log.response.outputs["probabilities"])[0]))
