"""Turns HEIC, the photos of phones, into JPEG: TensorFlow's decoder does not read it, and a model is served nothing else.

The same bytes give the same JPEG with the same libraries. It is upright, as the file says that it is to be shown, and has
no EXIF: whoever looks at it later finds nothing left to turn.
"""

import io

from graftline.data.decoding import CORRUPT, TOO_LARGE

# Of the box that such a file begins with (ISO 23008-12): still images, and bursts, of which the primary one counts
BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
QUALITY = 95  # of 100: what is lost is less than what a network sees


def is_heic(image: bytes) -> bool:
    """Tells whether an encoded image is HEIC, whatever its name says."""
    return image[4:8] == b"ftyp" and image[8:12] in BRANDS


def readable(image: bytes, max_pixels: int) -> bytes | str:
    """Returns an encoded image as TensorFlow reads it, HEIC as JPEG and all else as it is, or why it cannot be used.

    Args:
      image: the image as it is encoded.
      max_pixels: what HEIC may claim; more is refused before it is decoded.
    """
    if not is_heic(image):
        return image
    import pillow_heif  # takes a moment, which only those wait for who have such files

    try:
        opened = pillow_heif.open_heif(io.BytesIO(image))
        if opened.size[0] * opened.size[1] > max_pixels:
            return TOO_LARGE
        stream = io.BytesIO()
        # Without `exif` given, Pillow would write what it finds in the image's own
        opened.to_pillow().convert("RGB").save(stream, "JPEG", quality=QUALITY, exif=b"")
    except (ValueError, OSError, RuntimeError, SyntaxError, EOFError):  # what the library raises on a damaged file
        return CORRUPT
    return stream.getvalue()
