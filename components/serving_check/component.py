"""ServingCheck: checks whether the exported model can be served; TFX's InfraValidator would need TF Serving's image.

A fresh process with none of this project's code loads the model, answers real examples through both signatures, and is
timed. Its answers must be those that the model gives here, where the Evaluator judged it. A copy of the model with warm-up
requests for TF Serving becomes part of the blessing; the Pusher publishes that copy.
"""

import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import standard_artifacts
from tfx.types.channel import BaseChannel
from tfx.utils import io_utils, path_utils

from components.serving_check import probe as serving_probe
from graftline.artifacts import records as stored
from graftline.artifacts import verdict
from graftline.artifacts.examples import IMAGE, IMAGE_BYTES, TEST
from graftline.artifacts.infra_blessing import BLESSED, HAS_MODEL, MEASURED, REASONS, RULES, WARM_UPS
from graftline.artifacts.verdict import Rule
from graftline.base.paths import copy_tree
from graftline.settings.serving import Serving

SAMPLE = 32  # examples that the model must answer
ATTEMPTS = 3  # measurements, of which the best decides
TOLERANCE = 1e-5
GREY = 256  # edge of the image in warm-up requests, in pixels


@component
def ServingCheck(  # noqa: N802 (a component is named as a class)
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    limits: Parameter[str],
) -> None:
    """Blesses a model that can be served, and keeps it with its warm-up requests.

    Args:
      model: the exported model.
      examples: the examples, of which the test split is used.
      blessing: `blessed`, `reasons` against it, and as JSON what was `measured` and the `rules`; it contains the model.
      limits: `Serving` as JSON.
    """
    model_path = path_utils.serving_model_path(model.uri)
    records = sample(examples.uri)
    here = tf.saved_model.load(model_path).signatures["serving_default"](examples=tf.constant(records))["probabilities"]
    answers, rules = ask(model_path, records, Serving.model_validate_json(limits))
    measured = answers.get("measured", {})
    reasons = [*faults(answers, here.numpy()), *(rule.reason for rule in rules if not rule.met)]
    blessing.set_int_custom_property(BLESSED, int(not reasons))
    blessing.set_string_custom_property(REASONS, "; ".join(reasons))
    blessing.set_string_custom_property(MEASURED, json.dumps(measured))
    blessing.set_string_custom_property(RULES, verdict.dumps(rules))
    if not reasons:
        stamped = path_utils.stamped_model_path(blessing.uri)
        copy_tree(Path(model_path), Path(stamped))
        write_warm_up(Path(path_utils.warmup_file_path(stamped)))
        blessing.set_int_custom_property(HAS_MODEL, 1)


def ask(model_path: str, records: list[bytes], limits: Serving) -> tuple[dict[str, Any], list[Rule]]:
    """Asks the model in a fresh process, and again if it was too slow or too large, because the machine may have been busy.

    Returns:
      Its answers, see `probe`, with the best of all measurements; and the rules for these.
    """
    best: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        answers = probe(model_path, records)
        if "measured" not in answers:
            return answers, []
        best = better(best, answers["measured"])
        rules = demands(best, limits)
        if all(rule.met for rule in rules):
            break
    return answers | {"measured": best}, rules


def better(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Returns the lower of two probes' measurements, number by number; the first may be empty."""
    return {
        name: better(one.get(name, {}), value) if isinstance(value, dict) else min(one.get(name, value), value)
        for name, value in other.items()
    }


def sample(examples_uri: str) -> list[bytes]:
    """Returns the first examples of the test split, serialized."""
    return list(stored.read(examples_uri, TEST).take(SAMPLE).as_numpy_iterator())


def probe(model_path: str, records: list[bytes]) -> dict[str, Any]:
    """Asks the model in a fresh process.

    Returns:
      Its answers and what was `measured`, see `serving_probe`; or an `error` if it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        examples, answers = f"{folder}/examples", f"{folder}/answers.npz"
        io_utils.write_tfrecord_file(examples, *[tf.train.Example.FromString(record) for record in records])
        command = [sys.executable, "-I", serving_probe.__file__, model_path, examples, answers]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = re.findall(r"^\w[\w.]*Error: .*", done.stderr, re.MULTILINE)
            return {"error": errors[-1] if errors else f"it ended with status {done.returncode}"}
        with np.load(answers, allow_pickle=False) as members:
            return dict(members) | {"measured": json.loads(str(members["measured"]))}


def faults(answers: dict[str, Any], expected: np.ndarray) -> list[str]:
    """Returns what is wrong with a model's answers.

    Args:
      answers: what `probe` returned.
      expected: probabilities [examples, classes] as the model gives them in this process.
    """
    if "error" in answers:
        return [f"a fresh process cannot serve it: {answers['error']}"]
    return [
        f"{signature} answers differently in a fresh process, by {difference:.2g}"
        for signature in ("by_example", "by_bytes")
        if not (difference := float(np.abs(answers[signature] - expected).max())) <= TOLERANCE  # NaN too
    ]


def demands(measured: dict[str, Any], limits: Serving) -> list[Rule]:
    """Returns the rules for what serving may cost.

    Args:
      measured: what `probe` measured.
      limits: what is allowed.
    """
    slowest = measured["latency_ms"]["1"]["p99"]
    return [
        Rule("time to load", measured["load_s"], limits.max_load_seconds, at_least=False, unit="s"),
        Rule("memory of a server", measured["memory_gb"], limits.max_memory_gb, at_least=False, unit="GB"),
        Rule("time for one image (99th percentile)", slowest, limits.max_latency_ms, at_least=False, unit="ms"),
    ]


def write_warm_up(path: Path) -> None:
    """Writes requests that TF Serving sends to itself before it serves others, so that the first user does not wait.

    They contain a grey image, because nobody's photos should travel with the model.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    image = tf.io.encode_jpeg(tf.fill([GREY, GREY, 3], tf.constant(128, tf.uint8))).numpy()
    record = tf.train.Example(
        features=tf.train.Features(feature={IMAGE: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))})
    ).SerializeToString()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, name, value in (
            ("serving_default", "examples", record),
            ("serving_bytes", IMAGE_BYTES, image),
        ):
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.model_spec.signature_name = signature
            log.predict_log.request.inputs[name].CopyFrom(tf.make_tensor_proto([value]))
            for _ in range(WARM_UPS):
                writer.write(log.SerializeToString())


def serving_check(model: BaseChannel, examples: BaseChannel, limits: Serving) -> BaseNode:
    """Returns the node that tries the exported model before it is pushed: in a fresh process, or in TensorFlow Serving."""
    tag = limits.tensorflow_serving
    if tag is None:
        return ServingCheck(model=model, examples=examples, limits=limits.model_dump_json())
    from tfx.components.infra_validator.component import InfraValidator
    from tfx.proto import infra_validator_pb2 as spec

    validator = InfraValidator(
        model=model,
        examples=examples,
        serving_spec=spec.ServingSpec(
            tensorflow_serving=spec.TensorFlowServing(tags=[tag]), kubernetes=spec.KubernetesConfig()
        ),
        request_spec=spec.RequestSpec(
            tensorflow_serving=spec.TensorFlowServingRequestSpec(signature_names=["serving_default"]),
            split_name=TEST,
            num_examples=WARM_UPS,
            make_warmup=True,
        ),
        validation_spec=spec.ValidationSpec(max_loading_time_seconds=math.ceil(limits.max_load_seconds)),
    )
    return validator.with_id(ServingCheck.__name__)  # readers of a run need not know which of the two it was
