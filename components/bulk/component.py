"""The nodes that classify photos without labels: TFX's BulkInferrer, and one that turns its answers into a table.

The DAG has them if `bulk.folder` is set.
"""

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfx.components.bulk_inferrer import component as tfx_component
from tfx.components.bulk_inferrer import executor as tfx_executor
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base import executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.proto.bulk_inferrer_pb2 import ModelSpec
from tfx.types import Artifact, standard_artifacts
from tfx.types.channel import BaseChannel
from tfx.utils import path_utils
from tfx_bsl.beam import run_inference

from graftline.artifacts.examples import EXAMPLES, EXTRA, IMAGE_ID, read_label_names
from graftline.artifacts.predictions import TABLE_FILE, PredictionsTable
from graftline.serving import predictions
from graftline.serving.predictions import Prediction

BATCH = 32  # images that the model classifies at once


class Executor(tfx_executor.Executor):
    """TFX's, with batches of at most `BATCH`: left to itself, Beam takes more and more images, and memory."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Classifies the examples; arguments as TFX gives them."""
        # TFX has no setting for it, and tfx_bsl 1.21's wrapper loses what its own `batch_parameters` ask for
        wrapper, limit = run_inference._ModelHandlerWrapper, {"max_batch_size": BATCH}
        with patch.object(wrapper, "batch_elements_kwargs", lambda _: limit):
            super().Do(input_dict, output_dict, exec_properties)


class BulkInferrer(tfx_component.BulkInferrer):
    """TFX's node, with our executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def bulk_inferrer(examples: BaseChannel, model: BaseChannel, blessing: BaseChannel) -> BulkInferrer:
    """Returns the node that classifies examples if the model is blessed."""
    spec = ModelSpec(model_signature_name=["serving_scores"])
    return BulkInferrer(examples=examples, model=model, model_blessing=blessing, model_spec=spec)


@component
def PredictionsToTable(  # noqa: N802
    predictions: InputArtifact[standard_artifacts.InferenceResult],
    model: InputArtifact[standard_artifacts.Model],
    table: OutputArtifact[PredictionsTable],
) -> None:
    """Turns the logs of BulkInferrer into a CSV file; it has only a header if the model was not blessed.

    Args:
      predictions: the logs; there are none if the model was not blessed.
      model: the model, for its class names.
      table: the CSV file.
    """
    write_table(Path(predictions.uri), Path(path_utils.serving_model_path(model.uri)), Path(table.uri, TABLE_FILE))


def predictions_to_table(predictions: BaseChannel, model: BaseChannel) -> BaseNode:
    """Returns the node; arguments as for `PredictionsToTable`."""
    return PredictionsToTable(predictions=predictions, model=model)


def write_table(logs: Path, model: Path, table: Path) -> None:
    """Writes a line for each prediction.

    Args:
      logs: folder of compressed TFRecords of PredictionLog.
      model: folder of the SavedModel that made them.
      table: the CSV file.
    """
    label_names = read_label_names(str(model / EXTRA))
    files = sorted(str(path) for path in logs.glob("prediction_logs*"))
    with table.open("w", errors="backslashreplace") as file:
        write = predictions.writer(file, "csv", label_names)
        for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator() if files else ():
            log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
            example = tf.train.Example.FromString(log.request.inputs[EXAMPLES].string_val[0])
            path = os.fsdecode(example.features.feature[IMAGE_ID].bytes_list.value[0])
            found = {name: tf.make_ndarray(log.response.outputs[name])[0] for name in Prediction._fields}
            write(path, Prediction(np.array(found["probabilities"]), bool(found["known"])))
