"""A tiny dataset, its Transform graph and a run of the Trainer, for the tests of training and serving."""

import functools
import io
import json
from pathlib import Path
from typing import Any

import apache_beam as beam
import keras
import numpy as np
import pillow_heif
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from PIL import ExifTags, Image
from sklearn.datasets import load_digits
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx.components.trainer.fn_args_utils import FnArgs

from components.trainer.run_fn import run_fn
from components.transform.preprocessing import preprocessing_fn
from graftline.artifacts.examples import (
    IMAGE,
    IMAGE_ID,
    LABEL,
    LABEL_NAME,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    write_label_names,
)
from graftline.artifacts.history import HISTORY_FILE
from graftline.network import backbone, weights
from graftline.network.known import Known
from graftline.serving import export as serving
from graftline.settings.backbones import BACKBONES, LAYERS, Backbone
from graftline.settings.training import Model

SIZE = 32


def TinyNet(include_top: bool, weights: None, input_shape: tuple[int, int, int]) -> keras.Model:  # noqa: N802
    """Returns a small relative of MobileNetV2, with the same arguments, that is built in no time.

    It has what makes backbones hard: BatchNorm after convolutions of both kinds, a residual sum, strides. Its random weights
    are scaled so that images still differ at its output.
    """
    assert not include_top
    assert weights is None
    layers, he = keras.layers, "he_normal"
    inputs = flow = keras.Input(input_shape, name="images")

    def convolve(flow: Any, layer: keras.Layer, activate: bool = True) -> Any:
        normed = layers.BatchNormalization(epsilon=1e-3, name=f"{layer.name}_bn")(layer(flow))
        return layers.ReLU(6.0, name=f"{layer.name}_relu")(normed) if activate else normed

    flow = convolve(flow, layers.Conv2D(8, 3, 2, "same", use_bias=False, kernel_initializer=he, name="conv_1"))
    for block, (channels, stride) in enumerate([(8, 1), (16, 2), (16, 1)], 1):
        before, name = flow, f"block_{block}"
        flow = convolve(flow, layers.Conv2D(24, 1, use_bias=False, kernel_initializer=he, name=f"{name}_expand"))
        flow = convolve(
            flow,
            layers.DepthwiseConv2D(
                3, stride, "same", use_bias=False, depthwise_initializer=he, name=f"{name}_depthwise"
            ),
        )
        flow = convolve(
            flow,
            layers.Conv2D(channels, 1, use_bias=False, kernel_initializer=he, name=f"{name}_project"),
            activate=False,
        )
        flow = layers.Add(name=f"{name}_add")([before, flow]) if before.shape == flow.shape else flow
    flow = convolve(flow, layers.Conv2D(32, 1, use_bias=False, kernel_initializer=he, name="conv_2"))
    return keras.Model(inputs, flow, name="tiny_net")


def _convolution(name: str) -> list[str]:
    return [name, f"{name}_bn", f"{name}_relu"]


def _register() -> str:
    """Makes it a backbone like any other, only in the processes of tests; returns its name."""
    name = TinyNet.__name__
    setattr(keras.applications, name, TinyNet)
    LAYERS[name] = ["images", *_convolution("conv_1")]  # not built for it: TensorFlow must not have started in a worker
    for block in ("block_1", "block_2", "block_3"):
        LAYERS[name] += [*_convolution(f"{block}_expand"), *_convolution(f"{block}_depthwise")]
        LAYERS[name] += [f"{block}_project", f"{block}_project_bn", *([] if block == "block_2" else [f"{block}_add"])]
    LAYERS[name] += _convolution("conv_2")
    BACKBONES[name] = Backbone(name, image_size=SIZE, fine_tune_at="block_3_project")
    return name


MODEL: dict[str, Any] = {
    "backbone": _register(),
    "weights": "none",
    "image_size": SIZE,
    "fine_tune_at": "block_3_project",
}
TRAINING: dict[str, Any] = {
    "batch_size": 4,
    "mixed_precision": "off",  # so that training ends the same on processors with bfloat16 and without
    "phase_1": {"epochs": 1, "learning_rate": 1e-2},
    "phase_2": {"epochs": 2, "learning_rate": 1e-3, "schedule": "cosine", "optimizer": "rmsprop"},
}
IMAGES = {TRAIN: 12, VALIDATION: 4, TEST: 4}


def example(contents: bytes, label: int | None = None) -> bytes:
    """Returns a serialized tf.Example of an encoded image, with or without its label."""
    values: dict[str, Any] = {IMAGE: _bytes(contents)}
    if label is not None:
        values[LABEL] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
        values[LABEL_NAME] = _bytes(f"class {label}".encode())
        values[IMAGE_ID] = _bytes(b"an image")
    return tf.train.Example(features=tf.train.Features(feature=values)).SerializeToString()


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def write_examples(folder: Path, num_classes: int) -> None:
    """Writes splits of noisy images whose brightness shows the class."""
    random = np.random.default_rng(0)
    for split, count in IMAGES.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}/examples-00000-of-00001")) as writer:
            for index in range(count):
                label = index % num_classes
                pixels = random.integers(0, 50, (24, 20, 3)) + 80 * label
                writer.write(example(tf.io.encode_png(pixels.astype(np.uint8)).numpy(), label))
    write_label_names(str(folder), [f"class {label}" for label in range(num_classes)])


def write_digits(folder: Path, count: int) -> None:
    """Writes real images of two classes, the digits 0 and 1, as every split."""
    images, labels = load_digits(n_class=2, return_X_y=True)
    for split in SPLITS:
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}/examples-00000-of-00001")) as writer:
            for pixels, label in zip(images[:count], labels, strict=False):
                png = tf.io.encode_png((pixels.reshape(8, 8, 1) * 15).astype(np.uint8)).numpy()
                writer.write(example(png, int(label)))
    write_label_names(str(folder), ["0", "1"])


def transform_config(image_size: int = SIZE, resize: str = "bilinear", max_pixels: int = 1_000_000) -> dict[str, Any]:
    """Returns what the pipeline passes to `preprocessing_fn`."""
    return {"image_size": image_size, "resize": resize, "max_pixels": max_pixels}


def write_transform(
    folder: Path, shape: list[int], image_size: int = SIZE, resize: str = "bilinear"
) -> tft.TFTransformOutput:
    """Writes what TFX's Transform would, for raw features of this shape."""
    spec = {name: tf.io.FixedLenFeature(shape, tf.string) for name in (IMAGE, LABEL_NAME)}
    spec[LABEL] = tf.io.FixedLenFeature(shape, tf.int64)
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    function = functools.partial(preprocessing_fn, custom_config=transform_config(image_size, resize))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline, tft_beam.Context(temp_dir=str(folder / "temporary")):
        graph = (pipeline | beam.Create([]), metadata) | tft_beam.AnalyzeDataset(function)
        graph | tft_beam.WriteTransformFn(str(folder / "graph"))
        metadata | tft_beam.WriteMetadata(str(folder / "graph/metadata"), pipeline)
    return tft.TFTransformOutput(str(folder / "graph"))


def classifier(num_classes: int) -> keras.Model:
    """Returns a small network with the structure of exported ones, whose scores differ from image to image."""
    keras.utils.set_random_seed(0)
    model = Model(**MODEL)
    inputs = keras.Input((SIZE, SIZE, 3))
    base = keras.Model(inputs, keras.layers.Conv2D(6, 5, strides=4, activation="relu")(inputs))
    return backbone.classifier(base, backbone.head(base, model, num_classes), model, base.layers[-1].name)


def knows(least: float = -1.0, channels: int = 6) -> Known:
    """Returns a `Known` of one image, with the least likeness to it of known images; by default, all images are known."""
    return Known(np.eye(1, channels, dtype=np.float32), least)


def export(folder: Path, label_names: list[str], temperature: float = 1.0, known: Known | None = None) -> Path:
    """Exports such a network with its Transform graph, and returns the SavedModel's folder."""
    transform, model = write_transform(folder, []), classifier(len(label_names))
    serving.export(model, transform, label_names, str(folder / "model"), known or knows(), temperature)
    return folder / "model"


def photo(seed: int, kind: str = "jpeg") -> bytes:
    """Returns an encoded image of noise, brighter the higher the seed."""
    pixels = np.random.default_rng(seed).integers(0, min(60 * seed + 60, 256), (50, 40, 3)).astype(np.uint8)
    return getattr(tf.io, f"encode_{kind}")(pixels).numpy()


def heic(seed: int, size: tuple[int, int] = (48, 40), orientation: int = 1) -> bytes:
    """Returns a HEIC as a phone writes it, a different one for each seed; as stored, its left half is red.

    Args:
      seed: of its noise.
      size: width and height, as stored.
      orientation: how to turn it, as in EXIF.
    """
    pixels = np.random.default_rng(seed).integers(0, 60, (size[1], size[0], 3)).astype(np.uint8)
    pixels[:, : size[0] // 2, 0] += 180
    exif, stream = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(stream, quality=90, exif=exif.tobytes())
    return stream.getvalue()


def write_weights(path: Path) -> None:
    """Writes random weights with BatchNorm statistics that fit them; without those, a random network's signal dies out."""
    keras.utils.set_random_seed(1)  # the same weights whatever ran before, and such that a temperature can be fitted
    base = backbone.build(Model(**MODEL), None)
    for layer in base.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    base(np.random.default_rng(0).uniform(-1, 1, (16, SIZE, SIZE, 3)).astype("float32"), training=True)
    weights._save(base, "random", path)


def train(examples: Path, graph: str, output: Path, **changes: dict[str, Any]) -> dict[str, Any]:
    """Runs `run_fn` and returns its history; the model is written to `output/serving`."""
    run_fn(
        FnArgs(
            train_files=[f"{examples}/Split-train/*"],
            eval_files=[f"{examples}/Split-validation/*"],
            transform_graph_path=graph,
            serving_model_dir=str(output / "serving"),
            model_run_dir=str(output / "run"),
            custom_config={
                "model": MODEL | changes.get("model", {}),
                "prefix": changes.get("prefix", {}),
                "training": TRAINING | changes.get("training", {}),
                "work_dir": str(output / "work"),
            },
        )
    )
    return json.loads((output / "run" / HISTORY_FILE).read_text())
