"""Tests of the views of an image that training sees."""

import numpy as np
import tensorflow as tf

from graftline.features import views
from graftline.settings.training import Training

SIZE = 32


def shown(name: str, numbers: list[int]) -> np.ndarray:
    """Returns a view of one image, a ramp from left to right, under several numbers."""
    ramp = np.broadcast_to(np.linspace(-1, 1, SIZE)[None, :, None], (SIZE, SIZE, 3))
    images = tf.constant(np.stack([ramp] * len(numbers)), tf.float32)
    return views.view(name, images, tf.constant(numbers, tf.int64)).numpy()


def test_plain_and_mirrored_images_are_what_they_are_called():
    plain = shown("plain", [0])
    np.testing.assert_array_equal(shown("mirrored", [0]), plain[:, :, ::-1])


def test_a_crop_is_always_the_same_and_differs_by_image_and_by_view():
    once, again = shown("crop_1", [0, 1, 2]), shown("crop_1", [2])
    np.testing.assert_allclose(again[0], once[2], atol=1e-6, err_msg="the crop depends on the batch")
    assert np.abs(once[0] - once[1]).max() > 0.01
    assert np.abs(shown("crop_2", [0]) - once[:1]).max() > 0.01


def test_crops_show_a_part_of_the_image_within_its_range_some_of_them_mirrored():
    found = shown("crop_3", list(range(200)))
    assert found.shape == (200, SIZE, SIZE, 3)
    assert found.min() >= -1 and found.max() <= 1
    slopes = np.diff(found, axis=2).mean(axis=(1, 2, 3)) * (SIZE - 1)
    assert 60 < (slopes < 0).sum() < 140, "about half of them should be mirrored"
    # The whole ramp rises by 2; a crop shows 55 to 100 % of the width, and contrast changes that by at most a quarter
    assert np.abs(slopes).min() > 2 * 0.5 * 0.8 * 0.7 and np.abs(slopes).max() < 2 * 1.25 + 1e-3
    assert found.mean(axis=(1, 2, 3)).std() > 0.1, "brightness should differ"


def test_the_settings_name_the_views():
    assert Training().views == ("plain",)
    assert Training(augmentation="flip").views == ("plain", "mirrored")
    assert Training(augmentation="crops", crops=2).views == ("plain", "mirrored", "crop_1", "crop_2")
