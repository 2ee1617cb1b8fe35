"""The Trainer: phase 1 fits a new head on the frozen backbone, phase 2 fine-tunes the backbone's top layers too.

The two phases are those of TensorFlow's transfer-learning tutorial; the default differs from it in that BatchNorm keeps its
moving statistics, for on small sets they never catch up and the accuracy collapses.
"""

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.executor import GenericExecutor
from tfx.components.trainer.fn_args_utils import FnArgs

from components import backbone, features, prefix_engine, serving, weights
from components.feature_cache import ACTIVATION, POOLED, CachedSplit
from components.feature_pass import cached_splits
from settings import Model, Phase, Training

HISTORY_FILE = "history.json"
EVALUATION_BATCH = 256
WARMUP = 0.05  # part of a cosine schedule's steps

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


class Data(NamedTuple):
    """Batches of (features, labels) of each split; for training, of all epochs one after the other."""

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset


@dataclass(frozen=True)
class Network:
    """The parts of one network; they share layers and weights."""

    base: keras.Model
    head: keras.Model  # what phase 1 trains, on pooled features
    fine_tuned: keras.Model  # what phase 2 trains, on activations where the base is cut


def run_fn(fn_args: FnArgs) -> None:
    """Trains, and exports the serving model; what happened is kept in `history.json` beside the TensorBoard logs.

    Args:
      fn_args: TFX's arguments. `custom_config` holds `model`, `prefix` and `training`, sections of the settings as
        dictionaries, `work_dir`, where features are cached, and `code`, a digest that makes TFX train again where the code
        has changed.

    Raises:
      settings.UserError: where the pretrained weights cannot be had, or do not fit.
    """
    config = fn_args.custom_config
    model, training = Model(**config["model"]), Training(**config["training"])
    examples_uri = fn_args.train_files[0].rsplit("/", 2)[0]
    label_names = features.read_label_names(examples_uri)
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)

    # 1. Seed, 2. precision, 3. strategy: each acts on what is built after it.
    keras.utils.set_random_seed(training.seed)
    arithmetic = _arithmetic(training.mixed_precision)
    with _precision(arithmetic), _strategy().scope():
        base = backbone.build(model, pretrained.path if pretrained else None)
        on_top = backbone.head(base, model, len(label_names))
        at = backbone.cut(base, model.fine_tune_at)
        network = Network(base, on_top, backbone.fine_tuned(base, on_top, model, at, arithmetic))
        splits = cached_splits(base, at, config, examples_uri, transform)
        phases = _train(network, splits, model, training, fn_args.model_run_dir, len(label_names))

    history = {"phases": phases, "weights": _describe(pretrained), "label_names": label_names}
    _write_json(history, f"{fn_args.model_run_dir}/{HISTORY_FILE}")
    _export(network, model, transform, label_names, fn_args.serving_model_dir)


def _arithmetic(mixed_precision: str) -> str:
    """Returns the dtype in which convolutions multiply: a smaller one where the machine gains from it."""
    if mixed_precision == "off":
        return "float32"
    if tf.config.list_physical_devices("GPU"):
        return "float16"
    return "bfloat16" if prefix_engine.has_bfloat16() else "float32"


@contextlib.contextmanager
def _precision(arithmetic: str) -> Iterator[None]:
    """Builds layers in float16 on a GPU; on a CPU all but the convolutions is faster in float32."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16" if arithmetic == "float16" else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _strategy() -> tf.distribute.Strategy:
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def _train(
    network: Network,
    splits: dict[str, CachedSplit],
    model: Model,
    training: Training,
    run_dir: str,
    num_classes: int,
) -> list[dict[str, Any]]:
    """Runs the phases that have epochs and returns their learning curves and accuracies."""
    phases = []
    for number, phase, trained, field, fine_tune_at in (
        (1, training.phase_1, network.head, POOLED, None),
        (2, training.phase_2, network.fine_tuned, ACTIVATION, model.fine_tune_at),
    ):
        if not phase.epochs:
            continue
        backbone.set_trainable(network.base, fine_tune_at)
        steps = splits[features.TRAIN].steps(training.batch_size)
        data = Data(
            splits[features.TRAIN].dataset(field, training.batch_size, training.seed, phase.epochs),
            *(splits[name].dataset(field, EVALUATION_BATCH) for name in (features.VALIDATION, features.TEST)),
        )
        trained.compile(
            optimizer=_optimizer(phase, steps),  # a fresh one: phase 1's moments belong to other variables
            loss=backbone.loss(num_classes, training.label_smoothing),
            metrics=[backbone.accuracy(num_classes)],
        )
        print(_header(number, phase, trained, splits[features.TRAIN].examples), flush=True)
        epochs = _fit(trained, data, phase.epochs, steps, f"{run_dir}/phase_{number}")
        # For the report alone: nothing is chosen by the test split, so that the Evaluator's verdict on it stays fair.
        test_accuracy = trained.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]
        validation_accuracy = epochs[-1]["val_accuracy"]
        print(f"Phase {number}: validation accuracy {validation_accuracy:.4f}, test {test_accuracy:.4f}.", flush=True)
        accuracies = {"validation_accuracy": validation_accuracy, "test_accuracy": test_accuracy}
        phases.append({"phase": number, "epochs": epochs, **accuracies})
    return phases


def _optimizer(phase: Phase, steps: int) -> keras.optimizers.Optimizer:
    rate: float | keras.optimizers.schedules.LearningRateSchedule = phase.learning_rate
    if phase.schedule == "cosine":
        total = phase.epochs * steps
        warmup = math.ceil(WARMUP * total)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0, max(total - warmup, 1), warmup_target=phase.learning_rate, warmup_steps=warmup
        )
    return OPTIMIZERS[phase.optimizer](learning_rate=rate)


def _header(number: int, phase: Phase, trained: keras.Model, pictures: int) -> str:
    parameters = sum(math.prod(variable.shape) for variable in trained.trainable_variables)
    rate = f"{phase.optimizer} {phase.learning_rate:g} {phase.schedule}"
    return f"Phase {number}: {parameters:,} trainable parameters, {phase.epochs} epochs, {rate}, {pictures:,} pictures"


class EpochLog(keras.callbacks.Callback):
    """Keeps what each epoch gave and took, and writes the curves for TensorBoard.

    Keras's own callback needs the package tensorboard, which is for reading such files; writing them takes TensorFlow alone.
    """

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.epochs: list[dict[str, float]] = []
        self._writer = tf.summary.create_file_writer(directory)
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes the metrics, the seconds, validation included, and the time of day in seconds since 1970."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        seconds = round(time.monotonic() - self._start, 2)
        self.epochs.append({"epoch": epoch + 1, **metrics, "seconds": seconds, "ended": time.time()})
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, epoch + 1, tf.compat.v1.SummaryMetadata(plugin_data=plugin))
        self._writer.flush()


def _fit(trained: keras.Model, data: Data, epochs: int, steps: int, log_dir: str) -> list[dict[str, float]]:
    """Fits, and returns a dictionary for each epoch."""
    log = EpochLog(log_dir)
    trained.fit(
        data.train,
        validation_data=data.validation,
        epochs=epochs,
        steps_per_epoch=steps,
        shuffle=False,  # the dataset shuffles itself
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=[log],
    )
    return log.epochs


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
