"""The exported signatures: the same pixels, the same scores, and nothing of this project needed to serve them."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components import serving
from tests.components import tiny


def _picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 60 * seed + 60, (50, 40, 3)).astype(np.uint8)
    return tf.io.encode_jpeg(pixels).numpy()


PICTURES = [_picture(seed) for seed in range(3)]


def _classifier(num_classes: int) -> keras.Model:
    """Returns a linear model whose scores differ from picture to picture."""
    keras.utils.set_random_seed(0)
    units = 1 if num_classes == 2 else num_classes
    layers = [keras.Input((tiny.SIZE, tiny.SIZE, 3)), keras.layers.Flatten(), keras.layers.Dense(units)]
    return keras.Sequential(layers)


@pytest.mark.parametrize(("num_classes", "shape"), [(2, []), (3, [1])])
def test_training_path_and_signatures_give_one_score(num_classes: int, shape: list[int], tmp_path: Path) -> None:
    transform = tiny.write_transform(tmp_path, shape)
    classifier = _classifier(num_classes)
    names = [f"class {label}" for label in range(num_classes)]
    serving.export(classifier, transform, names, str(tmp_path / "model"))
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    labelled = tf.constant([tiny.example(picture, 1) for picture in PICTURES])
    unlabelled = tf.constant([tiny.example(picture) for picture in PICTURES])

    trained_on = signatures["transform_features"](examples=labelled)
    assert trained_on["label"].numpy().tolist() == [1, 1, 1]
    logits = classifier(trained_on["image"], training=False).numpy()
    expected = _probabilities(logits)
    assert np.ptp(expected[:, 0]) > 0.01  # equal scores would prove nothing

    for answer in (
        signatures["serving_default"](examples=unlabelled),
        signatures["serving_default"](examples=labelled),
        signatures["serving_bytes"](image_bytes=tf.constant(PICTURES)),
    ):
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        assert answer["label"].numpy().tolist() == expected.argmax(-1).tolist()
        assert answer["label_name"].numpy().tolist() == [names[label].encode() for label in expected.argmax(-1)]


def _probabilities(logits: np.ndarray) -> np.ndarray:
    if logits.shape[-1] == 1:
        positive = 1 / (1 + np.exp(-logits))
        return np.concatenate([1 - positive, positive], axis=-1)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_tensorflow_alone_loads_and_serves_the_model(tmp_path: Path) -> None:
    transform = tiny.write_transform(tmp_path, [])
    serving.export(_classifier(2), transform, ["cat", "dog"], str(tmp_path / "model"))
    (tmp_path / "picture.jpg").write_bytes(PICTURES[0])
    program = (
        "import sys, tensorflow as tf\n"
        "answer = tf.saved_model.load('model').signatures['serving_bytes'](tf.io.read_file('picture.jpg')[None])\n"
        "assert not {'keras', 'components', 'tensorflow_transform'} & set(sys.modules)\n"
        "print(answer['label_name'].numpy()[0].decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("cat", "dog")


@pytest.mark.parametrize("logits", [[[0.2], [-3.0]], [[0.0, 100.0, 5.0]]])
def test_probabilities_are_float32_and_sum_to_one(logits: list[list[float]]) -> None:
    for dtype in (tf.float16, tf.float32):
        found = serving.probabilities(tf.constant(logits, dtype))
        assert found.dtype == tf.float32
        np.testing.assert_allclose(tf.reduce_sum(found, -1), 1, rtol=1e-6)
