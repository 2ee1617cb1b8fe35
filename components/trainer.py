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
from typing import Any

import keras
import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.executor import GenericExecutor
from tfx.components.trainer.fn_args_utils import FnArgs

from components import backbone, features, serving, weights
from settings import Model, Phase, Training

HISTORY_FILE = "history.json"
SHUFFLE_BYTES = 256 * 2**20  # encoded pictures held for shuffling: all of a small set, some hundred large photos
WARMUP = 0.05  # part of a cosine schedule's steps

OPTIMIZERS: dict[str, Callable[..., keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


@dataclass(frozen=True)
class Data:
    """Batches of (pictures, labels) of each split."""

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    pictures: int  # in the train split


def run_fn(fn_args: FnArgs) -> None:
    """Trains, and exports the serving model; what happened is kept in `history.json` beside the TensorBoard logs.

    Args:
      fn_args: TFX's arguments. `custom_config` holds `model` and `training`, sections of the settings as dictionaries, and
        `code`, a digest that makes TFX train again where the code has changed.

    Raises:
      settings.UserError: where the pretrained weights cannot be had, or do not fit.
    """
    model, training = Model(**fn_args.custom_config["model"]), Training(**fn_args.custom_config["training"])
    examples_uri = fn_args.train_files[0].rsplit("/", 2)[0]
    label_names = features.read_label_names(examples_uri)
    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)

    # 1. Seed, 2. precision, 3. strategy: each acts on what is built after it.
    keras.utils.set_random_seed(training.seed)
    with _precision(training.mixed_precision), _strategy().scope():
        base = backbone.build(model, pretrained.path if pretrained else None)
        classifier = backbone.classifier(base, model, len(label_names))
        data = _read_splits(fn_args, f"{examples_uri}/Split-{features.TEST}/*", transform, training)
        phases = _train(classifier, base, data, model, training, fn_args.model_run_dir, len(label_names))

    history = {"phases": phases, "weights": _describe(pretrained), "label_names": label_names}
    _write_json(history, f"{fn_args.model_run_dir}/{HISTORY_FILE}")
    _export(classifier, model, transform, label_names, fn_args.serving_model_dir)


@contextlib.contextmanager
def _precision(mixed_precision: str) -> Iterator[None]:
    """Builds layers in float16 where a GPU gains from it; on CPUs it is slower than float32."""
    before = keras.mixed_precision.dtype_policy()
    mixed = mixed_precision == "auto" and bool(tf.config.list_physical_devices("GPU"))
    keras.mixed_precision.set_dtype_policy("mixed_float16" if mixed else "float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _strategy() -> tf.distribute.Strategy:
    several = len(tf.config.list_physical_devices("GPU")) > 1
    return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()


def _read_splits(fn_args: FnArgs, test_files: str, transform: tft.TFTransformOutput, training: Training) -> Data:
    files = [tf.io.gfile.glob(patterns) for patterns in (fn_args.train_files, fn_args.eval_files, test_files)]
    counts = [_count(split) for split in files]
    train, validation, test = (
        _batches(split, count, transform, training.batch_size, seed)
        for split, count, seed in zip(files, counts, (training.seed, None, None), strict=True)
    )
    return Data(train, validation, test, counts[0])


def _records(files: list[str]) -> tf.data.Dataset:
    paths = tf.data.Dataset.from_tensor_slices(sorted(files))
    return paths.interleave(tf.data.TFRecordDataset, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _count(files: list[str]) -> int:
    return int(_records(files).reduce(0, lambda count, _: count + 1))


def _batches(
    files: list[str], count: int, transform: tft.TFTransformOutput, batch_size: int, seed: int | None
) -> tf.data.Dataset:
    """Reads tf.Examples as (pictures [batch, size, size, 3], labels [batch]), through the Transform graph.

    With a seed they come in another order each epoch, the same ones in each run.
    """
    spec = {name: transform.raw_feature_spec()[name] for name in (features.IMAGE, features.LABEL)}
    transform_layer = transform.transform_features_layer()

    def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        transformed = transform_layer(tf.io.parse_example(serialized, spec))
        return transformed[features.IMAGE], transformed[features.LABEL]

    records = _records(files)
    if seed is not None:
        records = records.shuffle(_shuffle_buffer(files, count), seed=seed, reshuffle_each_iteration=True)
    batches = records.batch(batch_size).map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    # Keras warns of a dataset that ends where it does not know the length.
    known = batches.apply(tf.data.experimental.assert_cardinality(math.ceil(count / batch_size)))
    return known.prefetch(tf.data.AUTOTUNE)


def _shuffle_buffer(files: list[str], count: int) -> int:
    mean_bytes = sum(tf.io.gfile.stat(file).length for file in files) / count
    return min(count, math.ceil(SHUFFLE_BYTES / mean_bytes))


def _train(
    classifier: keras.Model,
    base: keras.Model,
    data: Data,
    model: Model,
    training: Training,
    run_dir: str,
    num_classes: int,
) -> list[dict[str, Any]]:
    """Runs the phases that have epochs and returns their learning curves and accuracies."""
    phases = []
    for number, phase, fine_tune_at in (1, training.phase_1, None), (2, training.phase_2, model.fine_tune_at):
        if not phase.epochs:
            continue
        backbone.set_trainable(base, fine_tune_at)
        classifier.compile(
            optimizer=_optimizer(
                phase, len(data.train)
            ),  # a fresh one: the moments of phase 1 belong to other variables
            loss=backbone.loss(num_classes, training.label_smoothing),
            metrics=[backbone.accuracy(num_classes)],
        )
        print(_header(number, phase, classifier, data), flush=True)
        epochs = _fit(classifier, data, phase.epochs, f"{run_dir}/phase_{number}")
        # For the report alone: nothing is chosen by the test split, so that the Evaluator's verdict on it stays fair.
        test_accuracy = classifier.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]
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


def _header(number: int, phase: Phase, classifier: keras.Model, data: Data) -> str:
    parameters = sum(math.prod(variable.shape) for variable in classifier.trainable_variables)
    rate = f"{phase.optimizer} {phase.learning_rate:g} {phase.schedule}"
    return f"Phase {number}: {parameters:,} trainable parameters, {phase.epochs} epochs, {rate}, {data.pictures:,} pictures"


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
        """Notes the metrics and the seconds, validation included."""
        metrics = {name: float(value) for name, value in (logs or {}).items()}
        self.epochs.append({"epoch": epoch + 1, **metrics, "seconds": round(time.monotonic() - self._start, 2)})
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        with self._writer.as_default():
            for name, value in metrics.items():
                tf.summary.write(name, value, epoch + 1, tf.compat.v1.SummaryMetadata(plugin_data=plugin))
        self._writer.flush()


def _fit(classifier: keras.Model, data: Data, epochs: int, log_dir: str) -> list[dict[str, float]]:
    """Fits, and returns a dictionary for each epoch."""
    log = EpochLog(log_dir)
    classifier.fit(
        data.train,
        validation_data=data.validation,
        epochs=epochs,
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
    classifier: keras.Model, model: Model, transform: tft.TFTransformOutput, label_names: list[str], directory: str
) -> None:
    # A fresh network is float32 whatever it was trained in, and holds neither optimizer nor strategy.
    served = backbone.classifier(backbone.build(model, None), model, len(label_names))
    served.set_weights(classifier.get_weights())
    serving.export(served, transform, label_names, directory)


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
