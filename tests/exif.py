"""Encoded images with EXIF blocks, for tests of orientation and of the removal of metadata."""

import io
import struct

import numpy as np
from PIL import ExifTags, Image

Entry = tuple[int, int, int, bytes]  # tag, type, count, and the value or its offset, 4 bytes
MAKE: Entry = (0x010F, 2, 4, b"Abc\0")
HEADER = b"Exif\0\0"


def encode(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    """Returns an image as Pillow writes it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def directory(order: str, entries: list[Entry], following: int = 0) -> bytes:
    """Returns a directory of a TIFF file in a byte order, `<` or `>`."""
    written = [struct.pack(f"{order}HHI", *entry[:3]) + entry[3] for entry in entries]
    return struct.pack(f"{order}H", len(entries)) + b"".join(written) + struct.pack(f"{order}I", following)


def orientation(number: int, order: str = "<") -> Entry:
    """Returns the entry of an orientation."""
    return 0x0112, 3, 1, struct.pack(f"{order}HH", number, 0)


def tiff(*directories: list[Entry], order: str = "<", first: int = 8) -> bytes:
    """Returns a TIFF file of directories; the second is a thumbnail's."""
    written, at = b"", 8
    for number, entries in enumerate(directories):
        at += 2 + 12 * len(entries) + 4
        written += directory(order, entries, at if number < len(directories) - 1 else 0)
    return {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, first) + written


def block(number: int, order: str = "<") -> bytes:
    """Returns an EXIF block with an orientation."""
    return HEADER + tiff([MAKE, orientation(number, order)], order=order)


def segment(marker: int, contents: bytes) -> bytes:
    """Returns a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(contents) + 2) + contents


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """Returns a JPEG with segments before all others."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def secretive() -> bytes:
    """Returns a JPEG turned on its side, whose metadata says "Secret" four times: maker, day, XMP and comment."""
    whole = Image.fromarray(np.random.default_rng(0).integers(0, 256, (3, 5, 3), np.uint8)).resize((500, 300))
    exif = whole.getexif()
    exif[0x0112], exif[0x010F] = 6, "SecretMaker"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (47.0, 22.0, 33.0), 29: "SecretDay"})
    return encode(whole, exif=exif, xmp=b"<x:xmpmeta>SecretPacket</x:xmpmeta>", comment=b"SecretComment")
