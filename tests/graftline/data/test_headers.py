"""Headers predict the size of a decoded image, and an image that claims too much is not decoded."""

import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from benchmarks.common import peak_gb
from graftline.data import decoding, headers
from graftline.data.decoding import CORRUPT, NOT_AN_IMAGE, TOO_LARGE
from tests.exif import block, encode, segment, with_segments

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
PHOTO = Image.fromarray(PIXELS[..., :3])
FRAMES = [Image.new("RGB", PHOTO.size, colour) for colour in ("red", "blue")]
GOOD = {
    "jpeg": encode(PHOTO),
    "progressive": encode(PHOTO, progressive=True),
    "cmyk": encode(PHOTO.convert("CMYK")),
    "exif": encode(PHOTO, exif=block(6)),
    "png": encode(PHOTO, "PNG"),
    "interlaced": encode(PHOTO, "PNG", interlace=True),
    "16 bits": encode(Image.fromarray(PIXELS[..., 0].astype(np.uint16)), "PNG"),
    "gif": encode(PHOTO, "GIF"),
    "gif with a comment": encode(PHOTO, "GIF", comment=b"c" * 600),
    "animation": encode(PHOTO, "GIF", save_all=True, append_images=FRAMES, duration=50, loop=0),
    "bmp": encode(PHOTO, "BMP"),
    "bmp rgba": encode(Image.fromarray(PIXELS), "BMP"),
    "webp": encode(PHOTO, "WEBP"),
    "webp lossless": encode(PHOTO, "WEBP", lossless=True),
    "webp exif": encode(PHOTO, "WEBP", exif=block(1)),
}


def claim(kind: str, width: int, height: int) -> bytes:
    """Returns an image whose header claims another size."""
    image = bytearray(GOOD[kind])
    if kind == "png":
        image[16:24] = struct.pack(">II", width, height)
        image[29:33] = struct.pack(">I", zlib.crc32(image[12:29]))
    elif kind == "gif":
        image[6:10] = struct.pack("<HH", width, height)
    elif kind == "bmp":
        image[18:26] = struct.pack("<ii", width, -height)
    elif kind == "webp exif":
        image[24:30] = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    else:
        at = image.index(b"\xff\xc0")
        image[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(image)


@pytest.mark.parametrize("kind", GOOD)
def test_a_header_claims_what_is_decoded_and_not_a_pixel_changes(kind):
    image = GOOD[kind]
    claimed, encoded = headers.read(tf.constant(image))
    decoded, expected = (tf.io.decode_image(one, 3, expand_animations=False) for one in (encoded, image))
    np.testing.assert_array_equal(decoded, expected)
    assert int(claimed) == 40 * 60
    assert decoding.refused(image, 40 * 60) is None
    assert decoding.refused(image, 40 * 60 - 1) == decoding.examine(image, 40 * 60 - 1) == TOO_LARGE


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "bmp", "webp exif"])
def test_one_that_claims_too_much_is_refused_before_it_takes_memory(kind):
    before = peak_gb()
    assert decoding.examine(claim(kind, 16_000, 15_000), 50_000_000) == TOO_LARGE
    assert peak_gb() - before < 0.2


def test_of_an_animation_only_the_first_frame_takes_memory():
    size = (3000, 2000)
    frames = [Image.new("P", size, number) for number in range(40)]
    animation = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    before = peak_gb()
    assert decoding.examine(animation, 50_000_000) == size
    assert peak_gb() - before < 0.15


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (GOOD["png"][:8] + b"\0\0\0\0abCd" + bytes(4) + GOOD["png"][8:], CORRUPT),
        (GOOD["webp"][:12] + GOOD["webp"][20:], CORRUPT),
        (GOOD["gif"][:14], CORRUPT),
        (GOOD["gif"][:-40], CORRUPT),
        (GOOD["jpeg"][:20], CORRUPT),
        (GOOD["png"][:20], CORRUPT),
        (b"\xff\x0a" + bytes(40), NOT_AN_IMAGE),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), NOT_AN_IMAGE),
    ],
)
def test_one_that_does_not_tell_its_size_is_not_decoded(image, reason):
    assert decoding.examine(image, 50_000_000) == reason


def test_a_size_behind_junk_is_the_one_that_counts():
    hidden = with_segments(claim("jpeg", 16_000, 15_000), segment(0xFE, b"\xff\xc0\0\x11\x08\0\x10\0\x10"), b"junk")
    assert decoding.examine(hidden, 50_000_000) == TOO_LARGE


def test_a_gif_of_millions_of_blocks_takes_no_time():
    start = GOOD["gif"][:781] + b"!\xfe"
    decoding.examine(GOOD["gif"], 10_000)
    began = time.monotonic()
    assert decoding.examine(start + b"\x01a" * 4_000_000, 10_000) == CORRUPT
    assert time.monotonic() - began < 5
