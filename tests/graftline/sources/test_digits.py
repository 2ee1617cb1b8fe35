"""The built-in set: scikit-learn's digits as TFDS images."""

import numpy as np
import pytest
import tensorflow_datasets as tfds
from sklearn.datasets import load_digits

import graftline.sources.digits  # noqa: F401  importing registers the set


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    builder = tfds.builder("digits", data_dir=tmp_path_factory.mktemp("data"))
    builder.download_and_prepare()
    return builder


def test_it_is_a_labelled_set_of_images(builder):
    assert builder.info.supervised_keys == ("image", "label")
    assert builder.info.features["label"].names == [str(digit) for digit in range(10)]
    assert builder.info.splits["train"].num_examples == 1797


def test_pixels_are_scaled_to_bytes(builder):
    made = sorted(
        (int(label), image.tobytes()) for image, label in tfds.as_numpy(builder.as_dataset("train", as_supervised=True))
    )
    source = load_digits()
    scaled = np.round(source.images * 255 / 16).astype(np.uint8)
    assert made == sorted((int(label), image.tobytes()) for image, label in zip(scaled, source.target, strict=True))
    assert scaled.max() == 255


def test_images_are_kept_as_png(builder):
    decoders = {"image": tfds.decode.SkipDecoding()}
    [example] = tfds.as_numpy(builder.as_dataset("train[:1]", decoders=decoders))
    assert example["image"].startswith(b"\x89PNG")
