"""Which split an image belongs to."""

import hashlib
import itertools

from graftline.artifacts.examples import SPLITS
from graftline.settings.data import Splits


def split_of(image: bytes, splits: Splits) -> str:
    """Returns the name of the split that an image belongs to.

    Args:
      image: the encoded image.
      splits: fraction of each split.
    """
    position = int.from_bytes(hashlib.sha256(image).digest()[:8]) / 2**64
    edges = itertools.accumulate(getattr(splits, name) for name in SPLITS)
    return next((name for name, edge in zip(SPLITS, edges, strict=True) if position < edge), SPLITS[-1])
