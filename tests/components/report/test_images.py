"""The images of the page: small, readable by every browser, and with heat maps in the right place."""

import base64
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from components.report import images
from tests import tiny
from tests.exif import secretive


def opened(uri: str) -> Image.Image:
    kind, _, contents = uri.partition(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(contents, validate=True)))


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_thumbnail_is_a_small_copy_of_the_same_shape(kind):
    pixels = tf.image.resize(tf.random.stateless_uniform([3, 5, 3], [1, 2], 0, 255), [300, 500])
    image = getattr(tf.io, f"encode_{kind}")(tf.cast(pixels, tf.uint8)).numpy()
    small = images.thumbnail(image)
    assert (small.width, small.height, small.tiny) == (200, 120, False)
    assert len(small.uri) < 16_000
    expected = tf.image.resize(pixels, [120, 200], antialias=True).numpy()
    assert np.abs(np.asarray(opened(small.uri), float) - expected).mean() < 6


def test_a_tiny_image_keeps_every_pixel():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    small = images.thumbnail(tf.io.encode_png(pixels).numpy())
    assert (small.width, small.height, small.tiny) == (8, 8, True)
    assert np.array_equal(np.asarray(opened(small.uri)), pixels)


def test_a_thumbnail_is_upright_and_has_nothing_of_the_photos_metadata():
    photo = secretive()
    assert photo.count(b"Secret") == 4
    small = images.thumbnail(photo)
    assert (small.width, small.height) == (120, 200)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).resize((120, 200), Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(opened(small.uri), float) - np.asarray(expected)).mean() < 6
    written = base64.b64decode(small.uri.partition(",")[2])
    assert not any(name in written for name in (b"Secret", b"EXIF", b"Exif", b"XMP", b"xmp", b"ICCP"))
    assert not opened(small.uri).getexif()


@pytest.mark.parametrize("kind", ["grey", "alpha", "animation"])
def test_every_kind_of_image_that_tensorflow_reads_has_a_thumbnail(kind):
    written = io.BytesIO()
    frames = [Image.new({"grey": "L", "alpha": "RGBA"}.get(kind, "RGB"), (60, 60), number) for number in (1, 2)]
    form = "GIF" if kind == "animation" else "PNG"
    frames[0].save(written, form, **({"save_all": True, "append_images": frames[1:]} if form == "GIF" else {}))
    assert opened(images.thumbnail(written.getvalue()).uri).size == (60, 60)


def test_heat_maps_are_those_of_the_model_whatever_the_batch(tmp_path, monkeypatch):
    model = str(tiny.export(tmp_path, ["cat", "dog"]))
    photos = [tiny.photo(seed) for seed in range(5)]
    monkeypatch.setattr(images, "BATCH", 2)
    found = images.heat_maps(model, photos)
    answer = tf.saved_model.load(model).signatures["serving_explain"](image_bytes=tf.constant(photos))
    np.testing.assert_allclose(found, answer["heat_map"], atol=1e-5)
    assert len(images.heat_maps(model, [])) == 0


def test_a_model_that_does_not_explain_itself_has_none(tmp_path):
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path), signatures={})
    assert images.heat_maps(str(tmp_path), [tiny.photo(0)]) is None


def test_an_overlay_is_clear_where_nothing_spoke_for_the_answer_and_lies_where_something_did():
    heat = np.zeros((4, 4), np.float32)
    heat[0, 3] = 1
    colours = np.asarray(opened(images.overlay(heat)).convert("RGBA"), float)
    assert colours.shape == (images.HEAT, images.HEAT, 4)
    quarter = images.HEAT // 4
    assert colours[:quarter, -quarter:, 3].max() > 0.9 * 255 * images.OPACITY
    assert colours[2 * quarter :, :, 3].max() < 10
    assert colours[:, : 2 * quarter, 3].max() < 10
