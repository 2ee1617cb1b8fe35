"""How photos are to be turned: the orientation in their EXIF block, read with TensorFlow operations.

JPEG, PNG and WebP are read as Pillow reads them, with two exceptions: an orientation that is only in XMP does not count, as
in browsers, and in a PNG it must come before the pixels, as in the standard.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from graftline.data.headers import JPEG, PNG, WEBP, big_endian, bytes_at, kind, little_endian

UPRIGHT = 1
SWAPPED = 5, 6, 7, 8  # orientations that swap width and height
MOST_SEGMENTS = 256  # read before the pixels; phones write about ten
MOST_ENTRIES = 64  # of a directory; cameras write about fifteen, in the order of their tags
ENTRY = 12  # bytes per entry
TAG, SHORT = 0x0112, 3
HEADER = b"Exif\0\0"  # before the block in a JPEG; some programs write it in other formats too
NAMES = b"Exif", b"eXIf", b"EXIF"  # an image without any of these has no block
# Whether it is EXIF, offset of its contents, their size, offset of the next segment
Segment = tuple[tf.Tensor, int, tf.Tensor, tf.Tensor]


# Traced only once: tracing takes a second, and several graphs read orientations
@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def orientations(encoded: tf.Tensor) -> tf.Tensor:
    """Reads the EXIF orientation of a batch of images at once: one by one, small images would take a tenth longer.

    Args:
      encoded: images, strings [n].

    Returns:
      int32 [n] in 1 to 8; 1 if there is no orientation.
    """
    place, size = _blocks(encoded)
    return tf.cond(
        tf.reduce_any(size > 0), lambda: _of_blocks(encoded, place, size), lambda: tf.fill(tf.shape(encoded), UPRIGHT)
    )


def turned(images: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns square images upright, after they are resized: the result is as good as before, and it takes no time.

    Args:
      images: of any type, [n, size, size, channels].
      orientation: int32 [n].
    """

    def turn(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
        branches = [functools.partial(upright, image, number) for number in range(1, 9)]
        return tf.ensure_shape(tf.switch_case(orientation - 1, branches), images.shape[1:])

    def turn_all() -> tf.Tensor:
        spec = tf.TensorSpec(images.shape[1:], images.dtype)
        return tf.map_fn(lambda pair: turn(*pair), (images, orientation), fn_output_signature=spec)

    return tf.cond(tf.reduce_any(orientation != UPRIGHT), turn_all, lambda: tf.identity(images))


def upright(image: tf.Tensor, orientation: int) -> tf.Tensor:
    """Turns one image [height, width, channels], of any type, that has this orientation."""
    axes = [axis for axis, reversed_in in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))) if orientation in reversed_in]
    return tf.reverse(tf.transpose(image, [1, 0, 2]) if orientation in SWAPPED else image, axes)


def _blocks(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where the EXIF blocks of images are, and their sizes, int64 [n]; 0 for images without one."""
    kinds, extended = kind(encoded), bytes_at(encoded, 12, 9)
    # A WebP without this flag has no EXIF
    has_exif = _spells(extended[:, :4], b"VP8X") & (extended[:, 8] // 8 % 2 > 0)
    walks = [
        _walk(encoded, kinds == JPEG, 2, _jpeg_segment),
        _walk(encoded, kinds == PNG, 8, _png_chunk),
        _walk(encoded, (kinds == WEBP) & has_exif, 12, _webp_chunk),
    ]
    places, sizes = zip(*walks, strict=True)
    return tf.add_n(places), tf.add_n(sizes)


def _walk(
    encoded: tf.Tensor, walked: tf.Tensor, start: int, read: Callable[[tf.Tensor], Segment]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Walks the segments of the images in `walked`, bool [n], all at once; returns the same as `_blocks`."""
    length = tf.cast(tf.strings.length(encoded), tf.int64)
    nowhere = tf.zeros_like(length)

    def look(place: tf.Tensor, walked: tf.Tensor, block: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found, contents, its_size, following = read(bytes_at(encoded, place, 10))
        found &= walked
        block, size = tf.where(found, place + contents, block), tf.where(found, its_size, size)
        place += following
        return place, walked & ~found & (following > 0) & (place < length), block, size

    _, _, block, size = tf.while_loop(
        lambda _place, walked, _block, _size: tf.reduce_any(walked),
        look,
        (nowhere + start, walked, nowhere, nowhere),
        maximum_iterations=MOST_SEGMENTS,
    )
    return block, size


def _jpeg_segment(head: tf.Tensor) -> Segment:
    marker, size = head[:, 1], big_endian(head[:, 2:4])
    walks_on = (head[:, 0] == 0xFF) & (marker >= 0xE0)  # only through segments before the tables
    following = tf.where(marker != 0xFF, 2 + size, 1)  # 0xFF may be repeated
    found = (marker == 0xE1) & _spells(head[:, 4:], HEADER)
    return found & walks_on, 4, size - 2, tf.where(walks_on, following, 0)


def _png_chunk(head: tf.Tensor) -> Segment:
    size, name = big_endian(head[:, :4]), head[:, 4:8]
    return _spells(name, b"eXIf"), 8, size, tf.where(_spells(name, b"IDAT"), tf.zeros_like(size), 12 + size)


def _webp_chunk(head: tf.Tensor) -> Segment:
    size = little_endian(head[:, 4:8])
    return _spells(head[:, :4], b"EXIF"), 8, size, 8 + size + size % 2


def _of_blocks(encoded: tf.Tensor, place: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Reads the first directory of TIFF files at these places in images, int64 [n]; the second one is the thumbnail's."""
    behind = tf.where(_spells(bytes_at(encoded, place, len(HEADER)), HEADER), tf.constant(len(HEADER), tf.int64), 0)
    place, end = place + behind, place + size
    head = bytes_at(encoded, place, 8)
    little, big = _spells(head[:, :4], b"II*\0"), _spells(head[:, :4], b"MM\0*")

    def number(digits: tf.Tensor) -> tf.Tensor:
        is_little = tf.reshape(little, [-1] + [1] * (len(digits.shape) - 2))
        return tf.where(is_little, little_endian(digits), big_endian(digits))

    directory = place + number(head[:, 4:])
    count = number(bytes_at(encoded, directory, 2))
    entries = tf.reshape(bytes_at(encoded, directory + 2, MOST_ENTRIES * ENTRY), [-1, MOST_ENTRIES, ENTRY])
    index = tf.range(MOST_ENTRIES, dtype=tf.int64)
    inside = (index < count[:, None]) & (directory[:, None] + 2 + ENTRY * (index + 1) <= end[:, None])
    is_it = (number(entries[..., :2]) == TAG) & (number(entries[..., 2:4]) == SHORT) & (number(entries[..., 4:8]) == 1)
    value = tf.reduce_max(tf.where(inside & is_it, number(entries[..., 8:10]), 0), axis=1)
    return tf.cast(tf.where((little | big) & (value >= 1) & (value <= 8), value, UPRIGHT), tf.int32)


def _spells(digits: tf.Tensor, text: bytes) -> tf.Tensor:
    """Returns which rows of bytes, int64 [n, bytes], equal a text."""
    return tf.reduce_all(digits == tf.constant(list(text), tf.int64), axis=1)
