"""Converts HEIC, the format of phone photos, to JPEG, because TensorFlow's decoder, which models also use, cannot read it.

With the same libraries, the same bytes give the same JPEG. It is upright, as the file says it is to be shown, and has no
EXIF, so that nothing turns it a second time.
"""

import io

from graftline.data.decoding import CORRUPT, TOO_LARGE

# In the first box of such a file (ISO 23008-12): still images, and bursts, of which only the primary image counts
BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
QUALITY = 95  # of 100: the loss is too small for a network to see


def is_heic(image: bytes) -> bool:
    """Returns whether an encoded image is HEIC, whatever its file name says."""
    return image[4:8] == b"ftyp" and image[8:12] in BRANDS


def readable(image: bytes, max_pixels: int) -> bytes | str:
    """Returns an encoded image that TensorFlow can read, HEIC as JPEG and the rest unchanged, or why it cannot be used.

    Args:
      image: the encoded image.
      max_pixels: how many pixels HEIC may claim; more are refused before decoding.
    """
    if not is_heic(image):
        return image
    import pillow_heif  # takes a moment, so it is imported only for such files

    try:
        opened = pillow_heif.open_heif(io.BytesIO(image))
        if opened.size[0] * opened.size[1] > max_pixels:
            return TOO_LARGE
        stream = io.BytesIO()
        # Without `exif`, Pillow would copy the image's own EXIF
        opened.to_pillow().convert("RGB").save(stream, "JPEG", quality=QUALITY, exif=b"")
    except (ValueError, OSError, RuntimeError, SyntaxError, EOFError):  # raised by the library for damaged files
        return CORRUPT
    return stream.getvalue()
