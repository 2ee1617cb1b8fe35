"""The images of the page: thumbnails, and heat maps of where the network looked, both as data URIs."""

import base64
import io
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from matplotlib import colormaps
from PIL import Image

from graftline.artifacts.examples import IMAGE_BYTES
from graftline.data import decoding

LONGEST = 200  # pixels of the longer side of a thumbnail
TINY = 48  # pixels of the longer side below which an image is shown unchanged, each pixel as a square
QUALITY = 75  # of WebP
HEAT = 48  # pixels along each side of an embedded heat map
HEAT_QUALITY = 50
OPACITY = 0.75  # of a heat map at its hottest
COLOURS = "inferno"  # perceptually uniform
EXPLAIN = "serving_explain"  # the signature that draws heat maps
BATCH = 16  # images at once


class Thumbnail(NamedTuple):
    """A small copy of an image.

    Attributes:
      uri: a `data:` URI.
      width, height: in pixels.
      tiny: whether it has so few pixels that each is shown as a square.
    """

    uri: str
    width: int
    height: int
    tiny: bool


def thumbnail(image: bytes) -> Thumbnail:
    """Returns a small copy of an image, upright.

    Args:
      image: encoded, in any format that TensorFlow decodes.
    """
    small = Image.fromarray(decoding.upright(image))  # only pixels: none of the photo's metadata is left
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    tiny = max(small.size) < TINY
    return Thumbnail(_data_uri(small, lossless=tiny, quality=QUALITY), *small.size, tiny)


def heat_maps(model_path: str, images: list[bytes]) -> np.ndarray | None:
    """Returns which parts of each image spoke for the network's answer.

    Args:
      model_path: a SavedModel as `export` writes it.
      images: encoded images.

    Returns:
      float32 [images, height, width] in [0, 1]; None if the model does not explain its answers.
    """
    signatures = tf.saved_model.load(model_path).signatures
    if EXPLAIN not in signatures:
        return None
    batches = [images[first : first + BATCH] for first in range(0, len(images), BATCH)]
    maps = [signatures[EXPLAIN](**{IMAGE_BYTES: tf.constant(batch)})["heat_map"].numpy() for batch in batches]
    return np.concatenate(maps) if maps else np.empty((0, 1, 1), np.float32)


def overlay(heat_map: np.ndarray) -> str:
    """Returns a heat map to lay over an image, transparent where nothing spoke for the answer, as a `data:` URI.

    The network sees images squeezed into a square, so the map must be stretched over the whole image.

    Args:
      heat_map: float32 [height, width] in [0, 1].
    """
    smooth = Image.fromarray(heat_map.astype(np.float32)).resize((HEAT, HEAT), Image.Resampling.BICUBIC)
    values = np.clip(np.asarray(smooth), 0, 1)
    colours = colormaps[COLOURS](values, bytes=True)
    colours[..., 3] = np.round(255 * OPACITY * values)
    return _data_uri(Image.fromarray(colours), quality=HEAT_QUALITY)


def _data_uri(image: Image.Image, **options: int) -> str:
    written = io.BytesIO()
    image.save(written, "WEBP", **options)
    return f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode()}"
