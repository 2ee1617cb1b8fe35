"""A test split of ten images, and models whose answers to it are known, judged by TFX's real Evaluator."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.orchestration.portable.data_types import ExecutionInfo
from tfx.types import standard_artifacts
from tfx.utils import json_utils

from components.evaluator.component import DUPLICATES, GATE, MODEL_RUN, OPPONENTS, SERVING_DIR, Driver
from components.evaluator.config import eval_config
from components.evaluator.executor import Executor
from graftline.artifacts.duplicates import REPORT_FILE, DuplicatesReport
from graftline.artifacts.examples import (
    COUNTS,
    EXTRA,
    HEIGHT,
    IMAGE,
    IMAGE_ID,
    LABEL,
    LABEL_NAME,
    TEST,
    WIDTH,
    write_label_names,
)
from graftline.artifacts.history import HISTORY_FILE
from graftline.runs.dag import BEAM_ARGS
from graftline.serving import versions
from graftline.settings.gate import Gate

CANDIDATE_ANSWERS = [0, 0, 0, 0, 1, 1, 1, 0, 0, 1]  # eight of ten right: four of class 0, four of class 1
LABELS = [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
NAMES = ["cat", "dog", "emu"]
GONE = {TEST: "/nowhere/test_plain"}
SURE = 0.8  # goes to the class that it answers; all classes share the rest


class Oracle(tf.Module):
    """A model that looks up its answers in a table, by the number in an example's `image_id`."""

    def __init__(self, answers: list[int], num_classes: int):
        super().__init__()
        self.probabilities = tf.constant(tf.one_hot(answers, num_classes) * SURE + (1 - SURE) / num_classes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples):
        parsed = tf.io.parse_example(examples, {IMAGE_ID: tf.io.FixedLenFeature([], tf.string)})
        probabilities = tf.gather(self.probabilities, tf.strings.to_number(parsed[IMAGE_ID], tf.int32))
        return {"probabilities": probabilities, "label": tf.argmax(probabilities, axis=-1)}


def write_model(folder: Path, answers: list[int], names: Sequence[str] = NAMES[:2]) -> standard_artifacts.Model:
    """Writes a model of these classes; returns its artifact."""
    model, place = Oracle(answers, len(names)), folder / "Format-Serving"
    tf.saved_model.save(model, str(place), signatures={"serving_default": model.serve})
    (place / EXTRA).mkdir()
    write_label_names(str(place / EXTRA), list(names))
    artifact = standard_artifacts.Model()
    artifact.uri = str(folder)
    return artifact


def image(number: int, label: int) -> bytes:
    """Returns an encoded image whose size and brightness grow with its number."""
    random = np.random.default_rng(number)
    pixels = random.integers(0, 10, (8 + number, 9, 3)) + 20 * number + label
    return tf.io.encode_png(pixels.astype(np.uint8)).numpy()


def write_split(folder: Path, split: str, labels: list[int], prefix: str = "") -> None:
    """Writes a split of images, whose ids are the prefix and a number."""
    (folder / f"Split-{split}").mkdir(parents=True)
    with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "data-00000-of-00001")) as writer:
        for index, label in enumerate(labels):
            texts = {
                IMAGE: image(index, label),
                LABEL_NAME: NAMES[label].encode(),
                IMAGE_ID: f"{prefix}{index}".encode(),
            }
            numbers = {LABEL: label, WIDTH: 9, HEIGHT: 8 + index}
            values = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])) for key, text in texts.items()}
            for key, number in numbers.items():
                values[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString())


def write_examples(folder: Path, labels: list[int] = LABELS) -> standard_artifacts.Examples:
    """Writes the test split; returns its artifact."""
    write_split(folder, TEST, labels)
    write_label_names(str(folder), NAMES[:2])
    artifact = standard_artifacts.Examples()
    artifact.uri, artifact.split_names = str(folder), json_utils.dumps([TEST])
    artifact.set_string_custom_property(COUNTS, json.dumps({TEST: {"cat": 4, "dog": 6}}))
    return artifact


def evaluate(
    folder: Path,
    gate: Gate,
    answers: list[int],
    production: list[int] | None = None,
    names: Sequence[str] = NAMES[:2],
    labels: list[int] = LABELS,
    leaked: Sequence[str] = (),
    features: dict[str, str] | None = None,
) -> tuple[str, standard_artifacts.ModelBlessing]:
    """Runs the Evaluator in a folder, driver and executor; returns its output folder and the blessing.

    Args:
      folder: an empty one, or one whose `serving` holds what is in production.
      gate: the settings of the gate.
      answers: the candidate's.
      production: those of a model that knows two classes and is pushed first; None pushes none.
      names: the classes of the candidate.
      labels: those of the test split.
      leaked: ids of images that look like a training image.
      features: the feature folder of each split; None if they are gone.
    """
    serving = folder / "serving"
    if production:
        versions.publish(Path(write_model(folder / "before", production).uri, "Format-Serving"), serving)
    inputs = {
        "examples": [write_examples(folder / "examples", labels)],
        "model": [write_model(folder / "candidate", answers, names)],
    }
    copies = DuplicatesReport()
    copies.uri = str(folder)
    (folder / REPORT_FILE).write_text(json.dumps({"leaked_ids": leaked}))
    inputs[DUPLICATES] = [copies]
    model_run = standard_artifacts.ModelRun()
    model_run.uri = str(folder)
    (folder / HISTORY_FILE).write_text(
        json.dumps({"features": {split: [path] for split, path in (features or GONE).items()}, "balanced": False})
    )
    inputs[MODEL_RUN] = [model_run]
    given = {SERVING_DIR: str(serving)}
    looked_up = Driver(None).run(ExecutionInfo(input_dict=inputs, exec_properties=given))
    found, blessing = standard_artifacts.ModelEvaluation(), standard_artifacts.ModelBlessing()
    found.uri, blessing.uri = str(folder / "evaluation"), str(folder / "blessing")
    config = json_format.MessageToJson(eval_config(), preserving_proto_field_name=True)
    Executor(BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS, tmp_dir=str(folder / "tmp"))).Do(
        inputs,
        {"evaluation": [found], "blessing": [blessing]},
        {
            "eval_config": config,
            **given,
            GATE: gate.model_dump_json(),
            OPPONENTS: looked_up.exec_properties[OPPONENTS].string_value,
            "example_splits": json_utils.dumps([TEST]),
            "module_path": "components.evaluator.extractors",
        },
    )
    return found.uri, blessing
