"""The views of an image that training sees: as it is, mirrored, and random crops."""

import tensorflow as tf

from graftline.settings.training import MIRRORED, PLAIN

AREA = (0.4, 1.0)  # the fraction of an image's area that a crop shows
RATIO = (3 / 4, 4 / 3)  # width to height of a crop of a square image
BRIGHTNESS = 0.2  # how much lighter or darker a crop can be, as a fraction of the whole range
CONTRAST = (0.8, 1.25)


def view(name: str, images: tf.Tensor, numbers: tf.Tensor) -> tf.Tensor:
    """Returns one view of each image, always the same for the same arguments.

    Args:
      name: one of `Training.views`.
      images: float32 [batch, size, size, 3] in [-1, 1].
      numbers: of the images in their split, int64 [batch]; with the name, they seed what is random.

    Returns:
      float32 of the same shape and range.
    """
    if name == PLAIN:
        return images
    if name == MIRRORED:
        return tf.reverse(images, [2])
    return _crops(images, numbers, int(name.rpartition("_")[2]))


def _crops(images: tf.Tensor, numbers: tf.Tensor, view_number: int) -> tf.Tensor:
    """Returns random crops of images, some of them mirrored, with changed brightness and contrast.

    The crop is that of C. Szegedy et al., Going Deeper with Convolutions, 2015, section 6, with a larger minimum area.
    """
    drawn = tf.map_fn(
        lambda number: tf.random.stateless_uniform([7], tf.stack([number, tf.cast(view_number, tf.int64)])),
        numbers,
        fn_output_signature=tf.TensorSpec([7], tf.float32),
    )
    area, ratio, top, left, mirrored, brightness, contrast = tf.unstack(drawn, axis=1)
    area, ratio = _between(area, *AREA), tf.exp(_between(ratio, *(tf.math.log(edge) for edge in RATIO)))
    height, width = tf.minimum(tf.sqrt(area / ratio), 1.0), tf.minimum(tf.sqrt(area * ratio), 1.0)
    top, left = top * (1 - height), left * (1 - width)
    right = left + width
    left, right = tf.where(mirrored < 0.5, left, right), tf.where(mirrored < 0.5, right, left)
    boxes = tf.stack([top, left, top + height, right], axis=1)
    parts = tf.image.crop_and_resize(images, boxes, tf.range(tf.shape(images)[0]), tf.shape(images)[1:3])
    parts = tf.ensure_shape(parts, images.shape)
    mean = tf.reduce_mean(parts, axis=[1, 2], keepdims=True)
    factor, shift = _between(contrast, *CONTRAST), _between(brightness, -2 * BRIGHTNESS, 2 * BRIGHTNESS)
    changed = (parts - mean) * _of_images(factor) + mean + _of_images(shift)
    return tf.clip_by_value(changed, -1.0, 1.0)


def _between(drawn: tf.Tensor, low: float | tf.Tensor, high: float | tf.Tensor) -> tf.Tensor:
    return low + drawn * (high - low)


def _of_images(values: tf.Tensor) -> tf.Tensor:
    return tf.reshape(values, [-1, 1, 1, 1])
