"""Classifying many images at once: as serving does, and what is not an image gets a reason."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.data import decoding
from graftline.serving.classifier import Classifier
from graftline.serving.exported import Exported, load
from graftline.serving.predictions import Prediction
from tests import tiny

MAX_PIXELS = 10_000
IMAGES = [tiny.photo(0), tiny.photo(1, "png"), tiny.photo(2)]
LEAST = 0.05  # likeness at which some of the images are known and some are not
LARGE = tf.io.encode_png(tf.zeros([200, 200, 3], tf.uint8)).numpy()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    return tiny.export(folder, ["cat", "dog", "eel"], temperature=0.5, known=tiny.knows(LEAST))


@pytest.fixture(scope="module")
def exported(model: Path) -> Exported:
    return load(model)


@pytest.fixture(scope="module")
def classify(exported: Exported) -> Classifier:
    return Classifier(exported, MAX_PIXELS)


def answered(classify: Classifier, images: Sequence[bytes | str]) -> list[Prediction]:
    """Returns the answers about those that are images."""
    return [found for found in classify(images) if isinstance(found, Prediction)]


def probabilities(found: list[Prediction]) -> np.ndarray:
    return np.array([one.probabilities for one in found])


def test_images_get_the_answers_that_serving_gives(exported: Exported, classify: Classifier) -> None:
    served = exported.signatures["serving_bytes"](image_bytes=tf.constant(IMAGES))
    assert np.ptp(served["probabilities"].numpy()[:, 0]) > 0.01  # equal ones would prove nothing
    found = answered(classify, IMAGES)
    np.testing.assert_allclose(probabilities(found), served["probabilities"], atol=1e-4)
    assert [one.known for one in found] == served["known"].numpy().tolist()
    assert {one.known for one in found} == {True, False}
    assert exported.label_names == ["cat", "dog", "eel"]


def test_what_is_no_image_gets_its_reason_and_the_others_their_answers(classify: Classifier) -> None:
    bad = ["file cannot be read", b"", b"<html>", IMAGES[0][:-200], LARGE]
    reasons = ["file cannot be read", decoding.EMPTY, decoding.NOT_AN_IMAGE, decoding.CORRUPT, decoding.TOO_LARGE]
    given = [*bad, *IMAGES]
    assert classify(given)[: len(bad)] == reasons
    expected = probabilities(answered(classify, IMAGES))
    np.testing.assert_allclose(probabilities(answered(classify, given)), expected, atol=1e-6)
    assert classify(bad) == reasons


def test_answers_stay_when_others_follow(classify: Classifier) -> None:
    first = answered(classify, IMAGES[:1])
    before = np.copy(first[0].probabilities)
    classify(IMAGES[2:])
    assert np.array_equal(first[0].probabilities, before)


def test_a_model_that_was_exported_before_knows_every_image(exported: Exported) -> None:
    signatures = dict(exported.signatures)
    pixels = signatures["serving_pixels"]
    spec = pixels.structured_input_signature[1]["image"]
    before = tf.function(lambda image: {"probabilities": pixels(image=image)["probabilities"]}, [spec])
    signatures["serving_pixels"] = before.get_concrete_function()
    old = Exported(exported.folder, SimpleNamespace(signatures=signatures), exported.label_names)
    assert [one.known for one in answered(Classifier(old, MAX_PIXELS), IMAGES)] == [True] * len(IMAGES)


def test_an_error_that_no_image_causes_is_not_taken_for_one(
    classify: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: tf.Tensor) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(classify, "_transform", fail)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        classify(IMAGES)


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        ("assets.extra/label_names.txt", "does not say what its classes are called: run the"),
        ("variables/variables.index", "cannot be loaded"),
    ],
)
def test_a_model_that_lacks_something_is_told(model: Path, tmp_path: Path, gone: str, told: str) -> None:
    shutil.copytree(model, tmp_path / "model")
    (tmp_path / "model" / gone).unlink()
    with pytest.raises(UserError, match=told):
        load(tmp_path / "model")
