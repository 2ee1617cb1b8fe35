"""The executor of the Trainer: TFX's, which also describes the model."""

import json
from typing import Any

import tensorflow as tf
from tfx.components.trainer.executor import GenericExecutor

from graftline.artifacts.history import HISTORY_FILE


class TrainerExecutor(GenericExecutor):
    """TFX's Trainer, which also records on the Model artifact where its weights came from and how accurate it is."""

    def Do(self, input_dict: dict[str, Any], output_dict: dict[str, Any], exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Trains, then describes the model; arguments as TFX gives them."""
        super().Do(input_dict, output_dict, exec_properties)
        (model,), (model_run,) = output_dict["model"], output_dict["model_run"]
        with tf.io.gfile.GFile(f"{model_run.uri}/{HISTORY_FILE}") as file:
            history = json.load(file)
        model.set_string_custom_property("weights_source", history["weights"]["source"])
        model.set_string_custom_property("weights_sha256", history["weights"]["sha256"])
        model.set_json_value_custom_property("label_names", history["label_names"])
        for phase in history["phases"]:
            for name in ("validation_accuracy", "test_accuracy"):
                model.set_float_custom_property(f"phase_{phase['phase']}_{name}", phase[name])
