"""Tests of the likeness of an image to the training images."""

import numpy as np
import pytest

from graftline.network import known


def test_likeness_is_the_cosine_with_the_most_similar_image_whatever_the_lengths() -> None:
    random = np.random.default_rng(0)
    train, images = random.normal(size=(5, 8)), random.normal(size=(3, 8))
    cosines = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in train] for a in images]
    found = known.likeness(7 * images, known.unit(train))
    np.testing.assert_allclose(found, np.max(cosines, axis=1), atol=1e-6)


def test_an_image_without_any_feature_is_like_none() -> None:
    assert known.likeness(np.zeros((1, 4)), known.unit(np.eye(4))).numpy() == pytest.approx([0])
