"""Pixels: decoded, resized and scaled as the tutorial does."""

import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from components.transform.preprocessing import preprocessing_fn
from graftline.artifacts.examples import IMAGE, LABEL
from graftline.base.paths import PROJECT
from tests import tiny
from tests.exif import block, encode

FUNCTIONS: dict[tuple[int, str], tf.types.experimental.PolymorphicFunction] = {}


def transformed(images: list[bytes], size: int = 32, resize: str = "bilinear") -> np.ndarray:
    """Runs the graph as serving does."""

    def run(encoded: tf.Tensor) -> tf.Tensor:
        inputs = {IMAGE: encoded, LABEL: tf.zeros(tf.shape(encoded), tf.int64)}
        return preprocessing_fn(inputs, tiny.transform_config(size, resize, MAX_PIXELS))[IMAGE]

    graph = FUNCTIONS.setdefault((size, resize), tf.function(run, [tf.TensorSpec([None], tf.string)]))
    return graph(tf.constant(images)).numpy()


MAX_PIXELS = 1_000_000


def image(contents: tf.Tensor, size: int) -> tf.Tensor:
    return tf.constant(transformed([contents.numpy()], size)[0])


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
        {IMAGE: tf.constant([[one] for one in encoded]), LABEL: tf.constant([[0], [1]], tf.int64)},
        tiny.transform_config(48),
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


def as_decoded(photo: bytes) -> Image.Image:
    """Returns the pixels of TensorFlow's decoder with the photo's metadata."""
    picture = Image.fromarray(tf.io.decode_image(photo, channels=3, expand_animations=False).numpy())
    picture.getexif().update(Image.open(io.BytesIO(photo)).getexif())
    return picture


@pytest.mark.parametrize("resize", ["bilinear", "antialias"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_images_are_turned_as_their_exif_orientation_says(photo, kind, resize):
    photos = [
        encode(Image.fromarray(photo), kind, exif=block(number, order)) for number in range(1, 9) for order in "<>"
    ]
    upright = [ImageOps.exif_transpose(as_decoded(one)) for one in photos]
    assert {one.size for one in upright} == {(70, 50), (50, 70)}
    expected = transformed([encode(one, "PNG", exif=b"") for one in upright], resize=resize)
    np.testing.assert_allclose(transformed(photos, resize=resize), expected, atol=1e-5)


def test_bilinear_pixels_are_the_decoders_to_the_bit(photo):
    smooth = Image.fromarray(photo).resize((180, 140))
    photos = [encode(smooth, kind) for kind in ("JPEG", "PNG", "WEBP", "BMP", "GIF")]

    @tf.function  # a graph multiplies where eager Python divides
    def expected(one: tf.Tensor) -> tf.Tensor:
        decoded = tf.cast(tf.io.decode_image(one, channels=3, expand_animations=False), tf.float32)
        return tf.image.resize(decoded, [32, 32], method="bilinear") / 127.5 - 1.0

    np.testing.assert_array_equal(transformed(photos), [expected(tf.constant(one)) for one in photos])


def test_one_too_large_fails_with_a_sentence(photo):
    large = encode(Image.new("RGB", (1001, 1000)), "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"more pixels than data\.max_pixels"):
        transformed([encode(Image.fromarray(photo), "PNG"), large])


def test_antialiased_every_pixel_counts_and_a_shrunk_jpeg_is_as_good_as_a_whole_one():
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    large = Image.fromarray(noise).resize((960, 720), Image.Resampling.BICUBIC)
    expected = np.asarray(large.resize((48, 48), Image.Resampling.LANCZOS), float)
    jpeg, png = 127.5 * (transformed([encode(large, kind) for kind in ("JPEG", "PNG")], 48, "antialias") + 1)
    plain = 127.5 * (transformed([encode(large, "JPEG")], 48)[0] + 1)
    assert np.abs(jpeg - png).mean() < 4
    assert np.abs(jpeg - expected).mean() < 0.5 * np.abs(plain - expected).mean()


def test_the_graph_is_the_same_in_every_process(tmp_path):
    program = "import sys, pathlib; from tests import tiny; tiny.write_transform(pathlib.Path(sys.argv[1]), [])"
    graphs = []
    for name in "ab":
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], check=True, cwd=PROJECT)
        graphs += [path.read_bytes() for path in (tmp_path / name / "graph").rglob("saved_model.pb")]
    assert graphs[0] == graphs[1]
