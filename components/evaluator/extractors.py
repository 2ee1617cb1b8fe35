"""What TFMA does with each batch of examples: sorts out what leaked, cuts it, asks the models, keeps what they answered.

A module of its own, for TFX loads it anew when it looks for `custom_extractors`.
"""

import io
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluator import component
from components.evaluator.component import FOLDER, LEAKED
from graftline.artifacts.evaluation import PREDICTIONS, PROBABILITIES
from graftline.artifacts.examples import IMAGE_ID, LABEL

PREDICTED = "ExtractPredictions"  # the name of TFMA's extractor that asks the models


def custom_extractors(
    eval_shared_model: Any, eval_config: config_pb2.EvalConfig, tensor_adapter_config: Any
) -> list[tfma.extractors.Extractor]:
    """Returns TFMA's extractors, one before them that cuts batches, and one among them that keeps the predictions.

    Batches grow to 1,000 images, which take gigabytes. TFX's Evaluator finds this function by its name; the arguments are
    its own, for TFMA.
    """
    usual = tfma.default_extractors(
        eval_shared_model=eval_shared_model,
        eval_config=eval_config,
        tensor_adapter_config=tensor_adapter_config,
    )
    predicted = [extractor.stage_name for extractor in usual].index(PREDICTED) + 1
    keep = tfma.extractors.Extractor("KeepPredictions", _keep(FOLDER.get()))
    cut = tfma.extractors.Extractor("CutBatches", beam.FlatMap(_cut, LEAKED.get()))
    return [cut, *usual[:predicted], keep, *usual[predicted:]]


def _cut(extracts: tfma.types.Extracts, leaked: frozenset[str]) -> Iterator[tfma.types.Extracts]:
    """Yields batches of the images that are measured: what leaked is left out before any model is asked."""
    records = extracts[tfma.ARROW_RECORD_BATCH_KEY]
    ids = [image_id.decode(errors="backslashreplace") for [image_id] in records.column(IMAGE_ID).to_pylist()]
    records = records.filter(pa.array([image_id not in leaked for image_id in ids], pa.bool_()))
    for start in range(0, records.num_rows, component.BATCH):
        yield {**extracts, tfma.ARROW_RECORD_BATCH_KEY: records.slice(start, component.BATCH)}


@beam.ptransform_fn
def _keep(extracts: beam.PCollection, folder: str) -> beam.PCollection:
    """Writes a record a batch on the way; nothing is shuffled, so files are in no order."""
    extracts | "Pack" >> beam.Map(_packed) | "Write" >> beam.io.WriteToTFRecord(f"{folder}/{PREDICTIONS}")
    return extracts


def _packed(extracts: tfma.types.Extracts) -> bytes:
    """Returns what is kept of a batch as NumPy's own format, which keeps probabilities to the bit."""
    given, answers = extracts[tfma.FEATURES_KEY], extracts[tfma.PREDICTIONS_KEY]
    by_model = answers if tfma.BASELINE_KEY in answers else {tfma.CANDIDATE_KEY: answers}
    ids = [image_id.decode(errors="backslashreplace") for image_id in np.ravel(given[IMAGE_ID])]
    columns: dict[str, Any] = {name: model[PROBABILITIES] for name, model in by_model.items()}
    packed = io.BytesIO()
    np.savez(packed, **columns | {IMAGE_ID: np.array(ids), LABEL: np.ravel(given[LABEL])})
    return packed.getvalue()
