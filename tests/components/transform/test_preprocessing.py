"""Pixels: decoded, resized and scaled as the tutorial does."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.transform.preprocessing import image, preprocessing_fn
from graftline.artifacts.examples import IMAGE, LABEL


def encode(image: Image.Image, kind: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_it_is_the_tutorials_arithmetic(photo):
    made = image(tf.constant(encode(Image.fromarray(photo), "PNG")), 32)
    tutorial = tf.image.resize(tf.cast(photo, tf.float32) / 127.5 - 1, (32, 32))
    np.testing.assert_allclose(made, tutorial, atol=1e-5)


def test_images_of_different_sizes_become_one_batch(photo):
    encoded = [encode(Image.fromarray(photo), "PNG"), encode(Image.fromarray(photo[:20, :30]), "JPEG")]
    made = preprocessing_fn(
        {IMAGE: tf.constant([[one] for one in encoded]), LABEL: tf.constant([[0], [1]], tf.int64)}, {"image_size": 48}
    )
    assert made[IMAGE].shape == (2, 48, 48, 3)
    assert made[IMAGE].dtype == tf.float32
    assert np.max(np.abs(made[IMAGE])) <= 1
    assert made[LABEL].numpy().tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["L", "P", "RGBA", "LA", "1", "I;16"])
def test_other_pixel_formats_become_three_channels(photo, kind):
    grey = photo[:, :, 0]
    source = Image.fromarray(grey.astype(np.uint16) * 257) if kind == "I;16" else Image.fromarray(photo).convert(kind)
    made = image(tf.constant(encode(source, "PNG")), 32)
    shown = Image.fromarray(grey) if kind == "I;16" else source
    expected = np.asarray(shown.convert("RGB"), np.float32)
    np.testing.assert_allclose(made, tf.image.resize(expected / 127.5 - 1, (32, 32)), atol=0.01)


def test_a_cmyk_photo_keeps_its_colours():
    red = Image.new("RGB", (40, 40), (200, 30, 40)).convert("CMYK")
    made = image(tf.constant(encode(red, "JPEG")), 32).numpy()
    np.testing.assert_allclose(made.mean((0, 1)), np.array([200, 30, 40]) / 127.5 - 1, atol=0.05)


def test_of_an_animation_the_first_frame_counts():
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    made = image(tf.constant(stream.getvalue()), 32).numpy()
    np.testing.assert_allclose(made.mean((0, 1)), [250 / 127.5 - 1, -1, -1], atol=0.05)


def test_an_exif_orientation_is_not_applied(photo):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", exif=exif)
    plain = image(tf.constant(encode(Image.fromarray(photo), "JPEG")), 32)
    np.testing.assert_array_equal(image(tf.constant(stream.getvalue()), 32), plain)
