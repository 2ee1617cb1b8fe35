"""Reads what the header of an encoded image claims, with TensorFlow operations, so that served graphs can do it too."""

import functools

import tensorflow as tf

KINDS = OTHER, JPEG, PNG, GIF, BMP, WEBP = range(6)
# The same as in the decoder
MAGIC = {JPEG: b"\xff\xd8\xff", PNG: b"\x89PNG\r\n\x1a\n", GIF: b"GIF8", BMP: b"BM", WEBP: b"RIFF"}
FIRST_BYTES = 16  # enough to identify the kind, but not the size
MOST_BLOCKS = 65_536  # of a GIF up to the end of its first frame: 16 MB as encoders write it; more is taken as hostile


def kind(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the kinds of images.

    Args:
      encoded: strings of any shape.

    Returns:
      int32 of that shape, one of KINDS.
    """
    found = {number: _starts(encoded, magic) for number, magic in MAGIC.items()}
    found[WEBP] &= _starts(encoded, b"WEBP", 8)
    return tf.add_n([number * tf.cast(starts, tf.int32) for number, starts in found.items()])


def read(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads an image's header, before any memory is allocated for its pixels.

    Args:
      contents: the encoded image, a scalar string.

    Returns:
      How many pixels it claims, int64, 0 for an unknown kind; and the part to decode: for a GIF, the bytes up to the end of
      its first frame, because the decoder would keep all frames in memory. If the header has no size where its kind should
      have one, or the kind is unknown, only the first bytes, which the decoder refuses.
    """
    # The most frequent kind first
    return tf.cond(_starts(contents, MAGIC[JPEG]), lambda: _jpeg(contents), lambda: _by_kind(contents))


def bytes_at(encoded: tf.Tensor, place: tf.Tensor | int, count: int) -> tf.Tensor:
    """Reads bytes of each image.

    Args:
      encoded: strings [n], or a scalar.
      place: position of the first byte, int64 of that shape, or one for all.
      count: how many bytes.

    Returns:
      int64 [n, count] or [count]; bytes past the end are 0.
    """
    length = tf.cast(tf.strings.length(encoded), tf.int64)
    place = tf.minimum(tf.cast(place, tf.int64), length)
    piece = tf.strings.substr(encoded, place, tf.fill(tf.shape(place), tf.constant(count, tf.int64)))
    return tf.cast(tf.io.decode_raw(piece, tf.uint8, fixed_length=count), tf.int64)


def big_endian(digits: tf.Tensor) -> tf.Tensor:
    """Returns the numbers, int64 [...], of big-endian bytes, int64 [..., bytes]."""
    count = digits.shape[-1]
    return tf.reduce_sum(digits * [256**power for power in reversed(range(count))], axis=-1)


def little_endian(digits: tf.Tensor) -> tf.Tensor:
    """Returns the numbers, int64 [...], of little-endian bytes, int64 [..., bytes]."""
    return big_endian(tf.reverse(digits, [-1]))


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string)], autograph=False, experimental_attributes={"_noinline": True}
)
def _by_kind(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reads a header; traced only once, because tracing takes seconds and several graphs read headers."""
    readers = {OTHER: _other, JPEG: _jpeg, PNG: _png, GIF: _gif, BMP: _bmp, WEBP: _webp}
    return tf.switch_case(kind(contents), [functools.partial(readers[number], contents) for number in KINDS])


def _starts(encoded: tf.Tensor, magic: bytes, place: int = 0) -> tf.Tensor:
    piece = tf.strings.substr(encoded, 0, place + len(magic))
    start, length = tf.minimum(place, tf.strings.length(piece)), tf.fill(tf.shape(piece), len(magic))
    return tf.strings.substr(piece, start, length) == magic


def _told(contents: tf.Tensor, width: tf.Tensor, height: tf.Tensor, told: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    claimed = tf.where(told, width * height, 0)
    return claimed, tf.cond(told, lambda: contents, lambda: tf.strings.substr(contents, 0, FIRST_BYTES))


def _other(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Leaves nothing to decode: newer decoders know kinds whose headers this module cannot read, such as JPEG XL."""
    return tf.constant(0, tf.int64), tf.strings.substr(contents, 0, 1)


def _jpeg(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Uses the decoder's own reader, so that junk between segments cannot hide a second size."""
    height, width, _ = tf.unstack(tf.cast(tf.image.extract_jpeg_shape(contents), tf.int64))
    return height * width, tf.identity(contents)


def _png(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    header = bytes_at(contents, 16, 8)
    first = tf.strings.substr(contents, 8, 8)  # the decoder would skip an unknown chunk before this one
    return _told(contents, big_endian(header[:4]), big_endian(header[4:]), first == b"\x00\x00\x00\rIHDR")


def _bmp(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    header = bytes_at(contents, 18, 8)
    edges = [tf.bitcast(tf.cast(little_endian(half), tf.uint32), tf.int32) for half in (header[:4], header[4:])]
    width, height = (tf.abs(tf.cast(edge, tf.int64)) for edge in edges)  # negative if the first row is the top one
    return width * height, tf.identity(contents)


def _webp(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    header, form = bytes_at(contents, 20, 10), tf.strings.substr(contents, 12, 4)
    packed = little_endian(header[1:5])
    sizes = {
        b"VP8 ": (little_endian(header[6:8]) % 2**14, little_endian(header[8:10]) % 2**14),
        b"VP8L": (packed % 2**14 + 1, packed // 2**14 % 2**14 + 1),
        b"VP8X": (little_endian(header[4:7]) + 1, little_endian(header[7:10]) + 1),
    }
    width = tf.add_n([tf.where(form == name, size[0], 0) for name, size in sizes.items()])
    height = tf.add_n([tf.where(form == name, size[1], 0) for name, size in sizes.items()])
    return _told(contents, width, height, width > 0)


def _gif(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the area of the screen or the first frame, whichever is larger."""
    start, end = _first_frame(contents)
    screen, frame = bytes_at(contents, 6, 4), bytes_at(contents, start + 5, 4)
    areas = [little_endian(edges[:2]) * little_endian(edges[2:]) for edges in (screen, frame)]
    trailer = b";"
    claimed, kept = _told(contents, tf.maximum(*areas), tf.constant(1, tf.int64), end > 0)
    return claimed, tf.strings.substr(kept, 0, tf.maximum(end, FIRST_BYTES)) + trailer


def _first_frame(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns where a GIF's first frame begins and ends; the end is 0 if there is no frame."""
    data = tf.io.decode_raw(contents, tf.uint8)
    last = tf.size(data) - 1

    def byte(place: tf.Tensor) -> tf.Tensor:
        return tf.cast(data[tf.minimum(place, last)], tf.int32) * tf.cast(place <= last, tf.int32)

    def table(flags: tf.Tensor) -> tf.Tensor:
        return tf.where(flags > 127, tf.bitwise.left_shift(6, flags & 7), 0)

    def past_blocks(place: tf.Tensor, left: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        place, left, _ = tf.while_loop(
            lambda place, left, size: (size > 0) & (left > 0),
            lambda place, left, size: (place + size + 1, left - 1, byte(place + size + 1)),
            (place, left, byte(place)),
        )
        return place + 1, left

    place, left = tf.while_loop(
        lambda place, left: (byte(place) == ord("!")) & (left > 0),  # an extension block, such as a frame's duration
        lambda place, left: past_blocks(place + 2, left - 1),
        (13 + table(byte(tf.constant(10))), tf.constant(MOST_BLOCKS)),
    )
    end, left = past_blocks(place + 11 + table(byte(place + 9)), left)
    return place, tf.where((byte(place) == ord(",")) & (left > 0), end, 0)
