"""Only the EXIF block sets the orientation, wherever it is, and hostile files do not take long."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from graftline.data import decoding, orientation
from tests.exif import HEADER, MAKE, block, directory, encode, segment, tiff, with_segments
from tests.exif import orientation as entry

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
JPEG, PNG = encode(PHOTO), encode(PHOTO, "PNG")
XMP = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
SIX = entry(6)


def exif(contents: bytes) -> bytes:
    return with_segments(JPEG, segment(0xE1, contents))


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Returns a PNG with chunks before its pixels."""
    added = [
        struct.pack(">I", len(contents)) + name + contents + struct.pack(">I", zlib.crc32(name + contents))
        for name, contents in chunks
    ]
    return PNG[:33] + b"".join(added) + PNG[33:]


def webp(contents: bytes) -> bytes:
    """Returns a WebP whose EXIF chunk contains exactly this."""
    written = encode(PHOTO, "WEBP", exif=b"\0" * 40)
    at = written.index(b"EXIF")
    chunk = b"EXIF" + struct.pack("<I", len(contents)) + contents + b"\0" * (len(contents) % 2)
    return b"RIFF" + struct.pack("<I", at - 8 + len(chunk)) + written[8:at] + chunk


def test_reading_is_pillows_in_every_format_and_byte_order():
    for number in range(1, 9):
        for order in "<>":
            found = block(number, order)
            photos = [encode(PHOTO, kind, exif=found) for kind in ("JPEG", "PNG", "WEBP")]
            photos += [png((b"eXIf", part)) for part in (found, found[6:])] + [
                webp(part) for part in (found, found[6:])
            ]
            pillows = [Image.open(io.BytesIO(photo)).getexif()[0x0112] for photo in photos]
            assert orientation.orientations(tf.constant(photos)).numpy().tolist() == pillows == [number] * 7


@pytest.mark.parametrize("number", range(1, 9))
def test_upright_is_as_pillow_turns(number):
    photo = encode(PHOTO, "PNG", exif=block(number))
    np.testing.assert_array_equal(decoding.upright(photo), ImageOps.exif_transpose(Image.open(io.BytesIO(photo))))
    assert decoding.examine(photo, 10_000) == ((40, 60) if number in orientation.SWAPPED else (60, 40))


TURNED = {
    "after JFIF, a comment and XMP": with_segments(
        JPEG, segment(0xFE, b"a comment"), segment(0xE1, XMP), segment(0xE1, block(6))
    ),
    "after much else": with_segments(JPEG, *[segment(0xE2, bytes(65_000))] * 20, segment(0xE1, block(6))),
    "with its directory at the end": exif(HEADER + tiff([], [], first=40) + bytes(8) + directory("<", [MAKE, SIX])),
    "with the last of many entries": exif(HEADER + tiff([MAKE] * 40 + [SIX])),
    "after fill bytes": JPEG[:2] + b"\xff\xff" + segment(0xE1, block(6)) + JPEG[2:],
    "and another in the thumbnail": exif(HEADER + tiff([SIX], [entry(3)])),
}
AS_IT_IS = {
    "no tag": exif(HEADER + tiff([MAKE])),
    "only in XMP": with_segments(JPEG, segment(0xE1, XMP)),
    "only in the thumbnail": exif(HEADER + tiff([MAKE], [SIX])),
    "in a comment": with_segments(JPEG, segment(0xFE, block(6))),
    "in another segment's middle": exif(b"something" + block(6)),
    "after the pixels": JPEG + segment(0xE1, block(6)),
    "a number out of range": exif(block(9)),
    "zero": exif(block(0)),
    "another type": exif(HEADER + tiff([(0x0112, 4, 1, struct.pack("<I", 6))])),
    "two values": exif(HEADER + tiff([(0x0112, 3, 2, struct.pack("<HH", 6, 6))])),
    "neither byte order": exif(HEADER + b"XX" + block(6)[8:]),
    "a directory far out": exif(HEADER + tiff([SIX], first=0xFFFFFFFF)),
    "a directory after the block": exif(HEADER + tiff([], first=60)) + directory("<", [SIX]) * 50,
    "more entries than bytes": exif(HEADER + b"II*\0\x08\0\0\0\xff\xff"),
    "an empty block": exif(HEADER),
    "a segment that ends after the file": JPEG[:2] + b"\xff\xe1\xff\xff" + HEADER,
    "a segment without a length": JPEG[:2] + b"\xff\xe1\0\0" * 9,
    "a PNG's endless chunk": PNG[:8] + b"\xff\xff\xff\xffeXIf" + block(6)[:12],
    "a PNG's pixels": png((b"tEXt", b"eXIf" + block(6))),
    "a WebP without the flag": encode(PHOTO, "WEBP")[:-1] + b"EXIF",
    "nothing": b"",
    "its first bytes": JPEG[:3],
    "not an image": b"Exif\0\0II*\0",
}


def test_it_is_found_where_it_stands_and_nowhere_else():
    photos = [*TURNED.values(), *AS_IT_IS.values()]
    found = orientation.orientations(tf.constant(photos)).numpy()
    wrong = [
        name for name, number in zip([*TURNED, *AS_IT_IS], found, strict=True) if number != (6 if name in TURNED else 1)
    ]
    assert not wrong
    assert [decoding.oriented(photo) for photo in photos] == found.tolist()
    assert orientation.orientations(tf.constant([], tf.string)).shape == [0]


def test_a_million_segments_take_no_time():
    hostile = [
        JPEG[:2] + segment(0xE2, b"") * 1_000_000,
        PNG[:8] + b"\0\0\0\0eXIg\0\0\0\0" * 300_000,
        JPEG[:2] + b"\xff" * 10**6,
    ]
    run = tf.function(orientation.orientations, [tf.TensorSpec([None], tf.string)])
    run(tf.constant([JPEG]))
    start = time.monotonic()
    assert run(tf.constant(hostile)).numpy().tolist() == [1, 1, 1]
    assert time.monotonic() - start < 2
