"""The exported signatures: the same pixels, the same scores, and serving needs nothing of this project."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import saved_model_pb2

from graftline.artifacts.examples import EXTRA, read_label_names
from graftline.network import backbone
from graftline.network.known import Known
from graftline.serving.export import export, heat_map, probabilities
from tests import tiny
from tests.exif import block, encode

IMAGES = [tiny.photo(seed) for seed in range(3)]


@pytest.mark.parametrize(("num_classes", "shape", "temperature"), [(2, [], 1.0), (2, [], 0.5), (3, [1], 2.0)])
def test_training_path_and_signatures_give_one_score(
    num_classes: int, shape: list[int], temperature: float, tmp_path: Path
) -> None:
    transform = tiny.write_transform(tmp_path, shape)
    classifier = tiny.classifier(num_classes)
    names = [f"class {label}" for label in range(num_classes)]
    export(classifier, transform, names, str(tmp_path / "model"), tiny.knows(), temperature)
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    labelled = tf.constant([tiny.example(image, 1) for image in IMAGES])
    unlabelled = tf.constant([tiny.example(image) for image in IMAGES])

    trained_on = signatures["transform_features"](examples=labelled)
    assert trained_on["label"].numpy().tolist() == [1, 1, 1]
    _, activation, logits = classifier(trained_on["image"], training=False)
    logits = logits.numpy()
    expected = _probabilities(logits / temperature)
    assert expected.argmax(-1).tolist() == _probabilities(logits).argmax(-1).tolist()
    assert np.ptp(expected[:, 0]) > 0.01  # equal scores would prove nothing

    for answer in (
        signatures["serving_default"](examples=unlabelled),
        signatures["serving_default"](examples=labelled),
        signatures["serving_bytes"](image_bytes=tf.constant(IMAGES)),
        signatures["serving_explain"](image_bytes=tf.constant(IMAGES)),
    ):
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        assert answer["label"].numpy().tolist() == expected.argmax(-1).tolist()
        assert answer["label_name"].numpy().tolist() == [names[label].encode() for label in expected.argmax(-1)]
    by_score = signatures["serving_scores"](examples=unlabelled)
    assert set(by_score) == {"known", "probabilities"}
    np.testing.assert_allclose(by_score["probabilities"], expected, atol=1e-5)
    by_pixels = signatures["serving_pixels"](image=trained_on["image"])
    np.testing.assert_allclose(by_pixels["probabilities"], expected, atol=1e-5)

    kernel = tf.convert_to_tensor(backbone.kernel(classifier))
    expected_map = _grad_cam(activation, kernel, expected.argmax(-1))
    np.testing.assert_allclose(answer["heat_map"], expected_map, atol=1e-5)
    assert answer["heat_map"].numpy().max() == 1


def test_all_signatures_agree_on_which_images_are_like_those_that_were_learnt_from(tmp_path: Path) -> None:
    transform, classifier = tiny.write_transform(tmp_path, []), tiny.classifier(2)
    images = tf.constant(IMAGES)
    export(classifier, transform, ["cat", "dog"], str(tmp_path / "all"), tiny.knows())
    pixels = tf.saved_model.load(str(tmp_path / "all")).signatures["transform_features"](
        examples=tf.constant([tiny.example(image, 0) for image in IMAGES])
    )["image"]
    pooled = classifier(pixels, training=False)[0].numpy()
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    like_the_second = pooled @ pooled[1]
    least = float(np.sort(like_the_second)[:2].mean())
    expected = (like_the_second >= least).tolist()
    assert expected.count(True) == 2

    reference = np.stack([-pooled[0], pooled[1]])  # the first is not like any of the images
    export(classifier, transform, ["cat", "dog"], str(tmp_path / "model"), Known(reference, least))
    signatures = tf.saved_model.load(str(tmp_path / "model")).signatures
    unlabelled = tf.constant([tiny.example(image) for image in IMAGES])
    for answer in (
        *(signatures[f"serving_{by}"](examples=unlabelled) for by in ("default", "scores")),
        *(signatures[f"serving_{by}"](image_bytes=images) for by in ("bytes", "explain")),
        signatures["serving_pixels"](image=pixels),
    ):
        assert answer["known"].numpy().tolist() == expected
    blank = signatures["serving_pixels"](image=tf.fill(pixels.shape, float("nan")))
    assert not blank["known"].numpy().any(), "what is not finite is like nothing"


def test_a_server_turns_photos_and_refuses_what_claims_too_much_for_that_request_alone(tmp_path):
    signatures = tf.saved_model.load(str(tiny.export(tmp_path, ["cat", "dog"]))).signatures
    upright = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    photos = [encode(upright, "PNG"), encode(turned, "PNG", exif=block(6)), encode(turned, "PNG")]
    answer = signatures["serving_explain"](image_bytes=tf.constant(photos))
    for values in (answer["probabilities"], answer["heat_map"]):
        np.testing.assert_allclose(values[0], values[1], atol=1e-4)
        assert np.abs(values[0] - values[2]).max() > 1e-3
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"claims more pixels than data\.max_pixels allows"):
        signatures["serving_bytes"](image_bytes=tf.constant([encode(Image.new("L", (2000, 1000)), "PNG")]))
    again = signatures["serving_explain"](image_bytes=tf.constant(photos))
    np.testing.assert_array_equal(again["probabilities"], answer["probabilities"])


def _grad_cam(activation: tf.Tensor, kernel: tf.Tensor, labels: np.ndarray) -> np.ndarray:
    """Returns Grad-CAM as its paper defines it, from gradients, divided by its maximum."""
    with tf.GradientTape() as tape:
        tape.watch(activation)
        logits = tf.reduce_mean(activation, [1, 2]) @ kernel
        if logits.shape[-1] == 1:
            logits = tf.concat([-logits, logits], -1)
        scores = tf.gather(logits, labels, axis=-1, batch_dims=1)
    importance = tf.reduce_mean(tape.gradient(scores, activation), [1, 2], keepdims=True)
    found = np.maximum(tf.reduce_sum(importance * activation, -1), 0)
    return found / np.maximum(found.max((1, 2), keepdims=True), 1e-30)


@pytest.mark.parametrize("units", [1, 3])
def test_the_heat_map_of_each_class_is_grad_cam(units: int) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(max(units, 2))
    activation = tf.constant(random.uniform(0, 1, (len(labels), 5, 4, 8)), tf.float32)
    kernel = tf.constant(random.normal(size=(8, units)), tf.float32)
    found = heat_map(activation, kernel, tf.constant(labels))
    np.testing.assert_allclose(found, _grad_cam(activation, kernel, labels), atol=1e-5)
    assert 0 <= found.numpy().min() < found.numpy().max() == 1


def test_where_nothing_speaks_for_a_class_its_heat_map_is_nought() -> None:
    found = heat_map(tf.ones([1, 2, 2, 3]), -tf.ones([3, 3]), tf.constant([1]))
    assert found.numpy().tolist() == [[[0, 0], [0, 0]]]


def test_signatures_share_one_network_and_the_class_names_lie_beside_it(tmp_path: Path) -> None:
    model = tiny.export(tmp_path, ["cat", "dog"])
    stored = [name for name, _ in tf.train.list_variables(str(model / "variables/variables"))]
    of_network = len(tiny.classifier(2).weights)
    assert sum(name.endswith("VARIABLE_VALUE") for name in stored) == of_network + 1, (
        "the network's variables and the reference"
    )
    graph = saved_model_pb2.SavedModel.FromString((model / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    assert [node.op for function in graph.library.function for node in function.node_def].count("Conv2D") == 1
    assert read_label_names(str(model / EXTRA)) == ["cat", "dog"]


def _probabilities(logits: np.ndarray) -> np.ndarray:
    if logits.shape[-1] == 1:
        positive = 1 / (1 + np.exp(-logits))
        return np.concatenate([1 - positive, positive], axis=-1)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_tensorflow_alone_loads_and_serves_the_model(tmp_path: Path) -> None:
    tiny.export(tmp_path, ["cat", "dog"])
    (tmp_path / "image.jpg").write_bytes(IMAGES[0])
    program = (
        "import sys, tensorflow as tf\n"
        "answer = tf.saved_model.load('model').signatures['serving_bytes'](tf.io.read_file('image.jpg')[None])\n"
        "assert not {'keras', 'components', 'graftline', 'tensorflow_transform'} & set(sys.modules)\n"
        "print(answer['label_name'].numpy()[0].decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("cat", "dog")


@pytest.mark.parametrize("logits", [[[0.2], [-3.0]], [[0.0, 100.0, 5.0]]])
def test_probabilities_are_float32_and_sum_to_one(logits: list[list[float]]) -> None:
    for dtype in (tf.float16, tf.float32):
        found = probabilities(tf.constant(logits, dtype))
        assert found.dtype == tf.float32
        np.testing.assert_allclose(tf.reduce_sum(found, -1), 1, rtol=1e-6)
