"""HEIC becomes the same upright JPEG each time; damaged or too large files get a reason."""

import io
import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from graftline.data import decoding
from graftline.data.heic import is_heic, readable
from tests.tiny import heic, photo

TURNED = 6  # EXIF: the camera was held upright


def opened(found: bytes | str) -> Image.Image:
    assert isinstance(found, bytes), found
    return Image.open(io.BytesIO(found))


@pytest.mark.parametrize(("orientation", "size"), [(1, (40, 24)), (TURNED, (24, 40))])
def test_it_becomes_an_upright_jpeg_without_exif(orientation, size):
    image = opened(readable(heic(1, (40, 24), orientation), 40 * 24))
    assert (image.format, image.size, dict(image.getexif()), image.info.get("exif")) == ("JPEG", size, {}, None)
    red = np.asarray(image)[..., 0] > 128  # the left half is red, as stored in the file
    half = red[: size[1] // 2] if orientation == TURNED else red[:, : size[0] // 2]
    assert half.mean() > 0.9 and red.mean() < 0.6


def test_the_same_bytes_give_the_same_jpeg_and_decode_as_tensorflow_does():
    found = {readable(heic(2, (64, 48)), 10_000) for _ in range(3)}
    assert len(found) == 1
    assert decoding.examine(found.pop(), 10_000) == (64, 48)


def test_transparent_and_grey_ones_have_three_channels():
    for mode in ("RGBA", "L"):
        stream = io.BytesIO()
        pillow_heif.from_pillow(Image.new(mode, (32, 32))).save(stream)
        assert opened(readable(stream.getvalue(), 10_000)).mode == "RGB"


def test_what_is_damaged_or_too_large_has_a_reason():
    whole = heic(1, (64, 48))
    assert {readable(whole[:cut], 10_000) for cut in (16, 100, len(whole) // 2)} == {decoding.CORRUPT}
    assert readable(whole, 64 * 48 - 1) == decoding.TOO_LARGE


def test_all_else_is_left_as_it_is():
    for image in (photo(1), b"", b"ftypheic", b"<html>"):
        assert not is_heic(image)
        assert readable(image, 1) is image


def test_its_library_is_not_imported_for_other_images():
    code = "import sys; from graftline.data.heic import readable; readable(b'x', 1); sys.exit('pillow_heif' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
