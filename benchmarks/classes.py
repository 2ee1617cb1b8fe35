"""The Evaluator on more and more classes: `python -m benchmarks.classes [--images N]`.

The Evaluator judges a model with a random table of answers on the same number of test images of 10, 100 and 1,000 classes,
each in its own process. Nothing is decoded: the seconds are those of reading, of TFMA's metrics and of storing the answers.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import common

CLASSES = (10, 100, 1_000)


def main() -> None:
    """Measures each number of classes, and reports the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2_400)
    parser.add_argument("--classes", type=int, help="measure only this many; for internal use")
    arguments = parser.parse_args()
    if arguments.classes:
        common.answer(_measure(arguments.classes, arguments.images))
        return
    for classes in CLASSES:
        found = common.ask("benchmarks.classes", ["--images", str(arguments.images), "--classes", str(classes)])
        common.tell("classes", classes=classes, images=arguments.images, **found)


def _measure(classes: int, images: int) -> dict[str, float]:
    """Returns the seconds that the Evaluator takes, and those that the report takes to read its output."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.evaluator.executor import Executor
    from components.report import numbers
    from graftline.artifacts import evaluation
    from graftline.runs.dag import BEAM_ARGS

    with tempfile.TemporaryDirectory() as folder:
        names = [f"class {number:04}" for number in range(classes)]
        inputs = _inputs(Path(folder), names, images)
        outputs = {"evaluation": standard_artifacts.ModelEvaluation(), "blessing": standard_artifacts.ModelBlessing()}
        for name, artifact in outputs.items():
            artifact.uri = f"{folder}/{name}"
        executor = Executor(BaseBeamExecutor.Context(beam_pipeline_args=BEAM_ARGS, tmp_dir=f"{folder}/tmp"))
        start = time.monotonic()
        executor.Do(inputs, {name: [artifact] for name, artifact in outputs.items()}, _properties(folder))
        evaluated = time.monotonic()
        uri = outputs["evaluation"].uri
        numbers.measure(uri, evaluation.predictions(uri), names, {}, None)
        return {"evaluator_s": round(evaluated - start, 1), "numbers_s": round(time.monotonic() - evaluated, 1)}


def _properties(folder: str) -> dict[str, str]:
    from google.protobuf import json_format
    from tfx.utils import json_utils

    from components.evaluator.component import GATE, OPPONENTS, SERVING_DIR
    from components.evaluator.config import eval_config
    from graftline.artifacts.examples import TEST
    from graftline.settings.gate import Gate

    return {
        "eval_config": json_format.MessageToJson(eval_config(), preserving_proto_field_name=True),
        GATE: Gate(min_accuracy=0).model_dump_json(),
        SERVING_DIR: f"{folder}/serving",
        OPPONENTS: "{}",
        "example_splits": json_utils.dumps([TEST]),
        "module_path": "components.evaluator.extractors",
    }


def _inputs(folder: Path, names: list[str], images: int) -> dict[str, list]:
    """Writes a test split of `images` images, a model that answers at random, and a report without duplicates."""
    import tensorflow as tf
    from tfx.types import standard_artifacts
    from tfx.utils import json_utils

    from graftline.artifacts.duplicates import REPORT_FILE, DuplicatesReport
    from graftline.artifacts.examples import COUNTS, EXTRA, IMAGE_ID, LABEL, LABEL_NAME, TEST, write_label_names

    examples, model, copies = standard_artifacts.Examples(), standard_artifacts.Model(), DuplicatesReport()
    examples.uri, model.uri, copies.uri = (str(folder / name) for name in ("examples", "model", "copies"))
    examples.split_names = json_utils.dumps([TEST])
    examples.set_string_custom_property(COUNTS, json.dumps({TEST: {"all": images}}))
    (folder / "examples" / f"Split-{TEST}").mkdir(parents=True)
    with tf.io.TFRecordWriter(f"{examples.uri}/Split-{TEST}/data") as writer:
        for number in range(images):
            label = number % len(names)
            values = {IMAGE_ID: str(number).encode(), LABEL_NAME: names[label].encode()}
            feature = {
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()
            }
            feature[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    (folder / "copies").mkdir()
    (folder / "copies" / REPORT_FILE).write_text("{}")
    _write_model(f"{model.uri}/Format-Serving", len(names), images)
    extra = Path(model.uri, "Format-Serving", EXTRA)
    extra.mkdir()
    write_label_names(str(extra), names)
    return {"examples": [examples], "model": [model], "duplicates": [copies]}


def _write_model(path: str, classes: int, images: int) -> None:
    import tensorflow as tf

    from graftline.artifacts.evaluation import PROBABILITIES
    from graftline.artifacts.examples import IMAGE_ID, LABEL

    model = tf.Module()
    drawn = np.random.default_rng(0).dirichlet(np.ones(classes), images)
    model.table = tf.constant(drawn, tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, {IMAGE_ID: tf.io.FixedLenFeature([], tf.string)})
        answers = tf.gather(model.table, tf.strings.to_number(parsed[IMAGE_ID], tf.int32))
        return {
            PROBABILITIES: answers,
            LABEL: tf.argmax(answers, axis=-1),
        }  # a second output, because TFMA strips the name of a single one

    tf.saved_model.save(model, path, signatures={"serving_default": serve})


if __name__ == "__main__":
    main()
