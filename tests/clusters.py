"""Features as the cache holds them, clustered around one point per class."""

from pathlib import Path

import numpy as np

from graftline.features import cache
from graftline.features.cache import ACTIVATION, LABEL, POOLED

CHANNELS = 8
SHARD = 16


def write(folder: Path, pooled: np.ndarray, labels: np.ndarray) -> str:
    """Writes features as the cache does, in several shards; returns their folder."""
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, len(labels), SHARD)):
        part = slice(start, start + SHARD)
        held = {ACTIVATION: [pooled[part, None]], POOLED: [pooled[part].astype(np.float16)], LABEL: [labels[part]]}
        cache._write_shard(folder / f"{number:05}", held)
    return str(folder)


def clusters(seed: int, labels: np.ndarray, spread: float = 0.2) -> np.ndarray:
    """Returns features, float [images, CHANNELS]."""
    random = np.random.default_rng(seed)
    return 4 * np.eye(CHANNELS)[labels] + random.normal(0, spread, (len(labels), CHANNELS))
