"""What TFMA does with each batch of examples: removes what leaked, cuts the batch, asks all models, keeps their answers.

This is a separate module because TFX loads it again when it looks for `custom_extractors`.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator import executor
from components.evaluator.executor import TASK
from graftline.artifacts.evaluation import CANDIDATE, PREDICTIONS, PROBABILITIES
from graftline.artifacts.examples import IMAGE_ID, LABEL
from graftline.serving import exported

PREDICTED = "ExtractPredictions"  # name of TFMA's extractor that asks the models


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Returns TFMA's extractors, with one before them that cuts batches, and another one that asks the models.

    Batches grow to 1,000 images, which take gigabytes. TFMA 0.52 calls a model in a way that fails at first, and TensorFlow
    then writes all images into the text of an error that nobody sees: several times their size.

    TFX's Evaluator finds this function by its name, and passes it the arguments that are meant for TFMA.
    """
    usual = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    folder, asked, leaked = TASK.get()
    predicted = [extractor.stage_name for extractor in usual].index(PREDICTED)
    ask = tfma.extractors.Extractor(PREDICTED, _ask(folder, asked))
    cut = tfma.extractors.Extractor("CutBatches", beam.FlatMap(_cut, leaked))
    return [cut, *usual[:predicted], ask, *usual[predicted + 1 :]]


def _cut(extracts: tfma.types.Extracts, leaked: frozenset[str]) -> Iterator[tfma.types.Extracts]:
    """Yields batches of the images to measure, without leaked ones, before any model is asked."""
    records = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    ids = [image_id.decode(errors="backslashreplace") for [image_id] in records.column(IMAGE_ID).to_pylist()]
    records = records.filter(pa.array([image_id not in leaked for image_id in ids], pa.bool_()))
    for start in range(0, records.num_rows, executor.BATCH):
        yield {**extracts, tfma.ARROW_RECORD_BATCH_KEY: records.slice(start, executor.BATCH)}


@beam.ptransform_fn
def _ask(extracts: beam.PCollection, folder: str, asked: dict[str, str]) -> beam.PCollection:
    """Asks the models, and writes one record per batch in passing; nothing is shuffled, so the files are in no order."""
    answered = extracts | "Ask" >> beam.ParDo(_Ask(asked)).with_outputs(PREDICTIONS, main=PREDICTED)
    answered[PREDICTIONS] | "Write" >> beam.io.WriteToTFRecord(f"{folder}/{PREDICTIONS}")
    return answered[PREDICTED]


class _Ask(beam.DoFn):
    """Asks the models, and packs a batch and all answers in NumPy's own format, exact to the bit."""

    def __init__(self, asked: dict[str, str]) -> None:
        self._asked = asked

    def setup(self) -> None:
        """Loads the models."""
        self._models = {name: exported.load(Path(folder)) for name, folder in self._asked.items()}

    def process(self, extracts: tfma.types.Extracts) -> Iterator[Any]:
        """Yields the extracts with the candidate's answers, and a batch of examples with those of all models."""
        given, examples = extracts[tfma.FEATURES_KEY], tf.constant(extracts[tfma.INPUT_KEY])
        answers = {name: model.signatures["serving_default"](examples=examples) for name, model in self._models.items()}
        ids = [image_id.decode(errors="backslashreplace") for image_id in np.ravel(given[IMAGE_ID])]
        columns = {name: answer[PROBABILITIES].numpy() for name, answer in answers.items()}
        packed = io.BytesIO()
        np.savez(packed, **columns | {IMAGE_ID: np.array(ids), LABEL: np.ravel(given[LABEL])})
        yield beam.pvalue.TaggedOutput(PREDICTIONS, packed.getvalue())
        yield {**extracts, tfma.PREDICTIONS_KEY: {PROBABILITIES: columns[CANDIDATE]}}
