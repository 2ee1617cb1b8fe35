"""TensorFlow's transfer-learning tutorial as published: its tf.data pipeline, its model, its calls of Keras's `fit`.

It reads the splits that the pipeline's ExampleGen wrote. Two things differ: the loss treats the head's logits as logits, and
each epoch is a separate call of `fit`, so that it can be timed.
"""

import time
from typing import Any

import keras
import tensorflow as tf

from graftline.network import weights

BATCH = 32
FROZEN, TUNED = 1, 2  # its two phases
RATES = {FROZEN: 1e-4, TUNED: 1e-5}
FIRST_TRAINABLE = 99  # 100 in TensorFlow 2.0's count of the layers


def train(examples: str, epochs: int, tuned: bool) -> list[dict[str, float]]:
    """Trains both phases.

    Args:
      examples: folder of the splits.
      epochs: number of epochs of each phase; 10 in the tutorial.
      tuned: adds what a good engineer would to its tf.data pipeline: parallel decoding, `cache()` and `prefetch`.

    Returns:
      For each epoch its `phase`, `seconds`, `val_accuracy`, and `ended`, the time of its end in seconds since 1970.
    """
    pretrained = weights.resolve("MobileNetV2", 160, "imagenet")
    train_batches, validation_batches = (
        _batches(f"{examples}/Split-{split}/*", split, tuned) for split in ("train", "validation")
    )
    base = keras.applications.MobileNetV2(
        input_shape=(160, 160, 3), include_top=False, weights=str(pretrained.path) if pretrained else None
    )
    model = keras.Sequential([base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)])
    measured = []
    for phase, rate in RATES.items():
        base.trainable = phase == TUNED
        for layer in base.layers[:FIRST_TRAINABLE]:
            layer.trainable = False
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        accuracy = keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
        model.compile(optimizer=keras.optimizers.RMSprop(rate), loss=loss, metrics=[accuracy])
        for _ in range(epochs):
            start = time.monotonic()
            history = model.fit(train_batches, epochs=1, validation_data=validation_batches, verbose=2).history
            seconds = round(time.monotonic() - start, 1)
            (accuracy_reached,) = history["val_accuracy"]
            measured.append(
                {"phase": phase, "seconds": seconds, "val_accuracy": accuracy_reached, "ended": time.time()}
            )
    return measured


def _batches(pattern: str, split: str, tuned: bool) -> tf.data.Dataset:
    spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def format_example(serialized: Any) -> tuple[Any, Any]:
        example = tf.io.parse_single_example(serialized, spec)
        image = tf.cast(tf.io.decode_jpeg(example["image"], channels=3), tf.float32)
        return tf.image.resize((image / 127.5) - 1, (160, 160)), example["label"]

    records = tf.data.TFRecordDataset(tf.io.gfile.glob(pattern))
    if tuned:  # cache() holds the encoded images, because decoded ones would take 7 GB
        decoded = records.cache().shuffle(1000).map(format_example, num_parallel_calls=tf.data.AUTOTUNE)
        return decoded.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    formatted = records.map(format_example)
    return (formatted.shuffle(1000) if split == "train" else formatted).batch(BATCH)
