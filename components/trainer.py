"""The Trainer: phase 1 fits a new head on the frozen backbone, phase 2 fine-tunes the backbone's top layers too.

The two phases are those of TensorFlow's transfer-learning tutorial; the default differs from it in that BatchNorm keeps its
moving statistics, for on small sets they never catch up and the accuracy collapses.
"""

import contextlib
import copy
import functools
import hashlib
import json
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.executor import GenericExecutor
from tfx.components.trainer.fn_args_utils import FnArgs

from components import backbone, features, prefix_engine, serving, weights, workers
from components.checkpoints import Checkpoints
from components.feature_cache import CachedSplit
from components.feature_pass import cached_splits
from components.phases import Network, Run
from settings import Model, Training

HISTORY_FILE = "history.json"


def run_fn(fn_args: FnArgs) -> None:
    """Trains, and exports the serving model; what happened is kept in `history.json` beside the TensorBoard logs.

    Args:
      fn_args: TFX's arguments. `custom_config` holds `model`, `prefix` and `training`, sections of the settings as
        dictionaries, `work_dir`, where features are cached, and `code`, a digest that makes TFX train again where the code
        has changed. `hyperparameters`, where the Tuner found any, come before those.

    Where TF_CONFIG is set, see workers.py, every worker calls this, and the first one writes.

    Raises:
      settings.UserError: where the pretrained weights cannot be had, or do not fit; where workers cannot train together.
    """
    tuned = (fn_args.hyperparameters or {}).get("values", {})
    config = with_values(fn_args.custom_config, tuned)
    model, training = Model(**config["model"]), Training(**config["training"])
    team = workers.join(training.batch_size)
    examples_uri = fn_args.train_files[0].rsplit("/", 2)[0]
    label_names = features.read_label_names(examples_uri)
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)

    # 1. Seed, 2. precision, 3. strategy: each acts on what is built after it.
    keras.utils.set_random_seed(training.seed)
    arithmetic = choose_arithmetic(training.mixed_precision)
    with precision(arithmetic):
        with team.strategy.scope():
            base = backbone.build(model, pretrained.path if pretrained else None)
            on_top = backbone.head(base, model, len(label_names))
            at = backbone.cut(base, model.fine_tune_at)
            network = Network(base, on_top, backbone.fine_tuned(base, on_top, model, at, arithmetic))
        with team.chief_first():  # not in the strategy's scope, where all workers must make the same variables
            splits = cached_splits(base, at, config, examples_uri, transform, team.is_chief)
        saved = _checkpoints(config, splits)
        with team.strategy.scope():
            run = Run(network, splits, model, training, len(label_names), saved, fn_args.model_run_dir, team)
            phases = run.run()

    with team.chief_first():
        if team.is_chief:
            history = {
                "phases": phases,
                "weights": _describe(pretrained),
                "tuned": tuned,
                "label_names": label_names,
                "parameters": network.base.count_params() + network.head.count_params(),
                "features": {split: [str(view) for view in cached.views] for split, cached in splits.items()},
            }
            _write_json(history, f"{fn_args.model_run_dir}/{HISTORY_FILE}")
            _export(network, model, transform, label_names, fn_args.serving_model_dir)
            saved.remove()


def _checkpoints(config: dict[str, Any], splits: dict[str, CachedSplit]) -> Checkpoints:
    """Returns the checkpoints of this very training: of the same features, settings and code."""
    views = [view.name for view in splits[features.TRAIN].views]
    parts = {"features": splits[features.TRAIN].views[0].parent.name, "views": views, "config": config}
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return Checkpoints(Path(config["work_dir"], "checkpoints", key))


def with_values(config: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration with other values, each under the setting's name, such as `training.phase_1.learning_rate`."""
    config = copy.deepcopy(config)
    for name, value in values.items():
        *sections, key = name.split(".")
        functools.reduce(operator.getitem, sections, config)[key] = value
    return config


def choose_arithmetic(mixed_precision: str) -> str:
    """Returns the dtype in which convolutions multiply: a smaller one where the machine gains from it."""
    if mixed_precision == "off":
        return "float32"
    if tf.config.list_physical_devices("GPU"):
        return "float16"
    return "bfloat16" if prefix_engine.has_bfloat16() else "float32"


@contextlib.contextmanager
def precision(arithmetic: str) -> Iterator[None]:
    """Builds layers in float16 on a GPU; on a CPU all but the convolutions is faster in float32."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16" if arithmetic == "float16" else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _describe(pretrained: weights.Weights | None) -> dict[str, str]:
    return (
        {"source": pretrained.source, "sha256": pretrained.sha256} if pretrained else {"source": "none", "sha256": ""}
    )


def _write_json(values: dict[str, Any], path: str) -> None:
    tf.io.gfile.makedirs(path.rsplit("/", 1)[0])
    with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
        file.write(json.dumps(values, indent=1))
    tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)


def _export(
    network: Network, model: Model, transform: tft.TFTransformOutput, label_names: list[str], directory: str
) -> None:
    # A fresh network is float32 whatever it was trained in, and holds neither optimizer nor strategy.
    base = backbone.build(model, None)
    on_top = backbone.head(base, model, len(label_names))
    base.set_weights(network.base.get_weights())
    on_top.set_weights(network.head.get_weights())
    serving.export(backbone.classifier(base, on_top, model), transform, label_names, directory)


class TrainerExecutor(GenericExecutor):
    """TFX's Trainer, which also notes on the Model artifact where its weights came from and how accurate it is."""

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
