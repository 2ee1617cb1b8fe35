"""The single pass over the images: through the Transform graph and the frozen prefix, into the feature cache."""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow_transform as tft

from graftline.artifacts import records
from graftline.artifacts.examples import SPLITS, TRAIN
from graftline.base.code import identity
from graftline.base.errors import UserError
from graftline.features import cache, on_beam
from graftline.features.cache import CachedSplit
from graftline.features.source import decoder, source
from graftline.network import backbone, inference
from graftline.settings.training import PLAIN, Model, Prefix, Training

DECODED = 2000  # images, all in one shard, that are decoded once for all their views: 0.6 MB per image at a size of 224


class Missing(NamedTuple):
    """A view of a split whose features are not all in the cache."""

    split: str
    path: Path
    examples: records.Split
    name: str

    @property
    def images(self) -> int:
        """The number of images."""
        return self.examples.examples


def cached_splits(
    base: keras.Model,
    at: str,
    config: dict[str, Any],
    examples_uri: str,
    transform: tft.TFTransformOutput,
    compute: bool = True,
    names: Sequence[str] = SPLITS,
) -> dict[str, CachedSplit]:
    """Returns the features of splits, and computes those that are not in the cache yet.

    Args:
      base: the base network, with its pretrained weights.
      at: the layer where the base is cut.
      config: the Trainer's `custom_config`.
      examples_uri: folder of the splits' tf.Examples.
      transform: output of the Transform.
      compute: whether this process computes them; otherwise another worker does.
      names: the splits.

    Raises:
      UserError: if the disk has no room for them, or they are not where the other worker should have put them.
    """
    model, prefix, training = Model(**config["model"]), Prefix(**config["prefix"]), Training(**config["training"])
    engine = inference.choose(prefix)
    folder = Path(config["work_dir"], "features", _key(base, at, model, prefix, engine, examples_uri, transform))
    names_of = dict.fromkeys(SPLITS, (PLAIN,)) | {TRAIN: training.views}
    print(
        f"Features at {at} are kept as {prefix.cache_dtype} in {folder}; {engine.name} computes missing ones in "
        f"{engine.precision}; augmentation {training.augmentation}.",
        flush=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)  # folders that have not been used for long are pruned
    splits, missing = {}, []
    for split in names:
        examples = records.counted(examples_uri, split)
        paths = tuple(folder / f"{split}_{view}" for view in names_of[split])
        splits[split] = CachedSplit(paths, examples.examples)
        for view, path in zip(names_of[split], paths, strict=True):
            if not cache.is_complete(path, examples.examples):
                missing.append(Missing(split, path, examples, view))
    if missing and not compute:
        raise UserError(
            f"The first worker's features are not in {missing[0].path}: give all workers the same settings and kind of "
            "machine, and the same run.root on a shared volume."
        )
    if missing:
        _fill(missing, backbone.prefix(base, model, at), engine, transform, prefix.cache_dtype)
    return splits


def _fill(
    missing: list[Missing],
    network: keras.Model,
    engine: inference.Engine,
    transform: tft.TFTransformOutput,
    dtype: str,
) -> None:
    """Computes features, if the disk has room for all of them."""
    _check_space(missing, network, dtype)
    if on_beam.is_asked_for():
        pieces = [piece for view in missing for piece in _pieces(view)]
        on_beam.fill(pieces, network, transform, engine, dtype)
        return
    run = inference.compile_prefix(network, engine)
    several, decode = Counter(view.split for view in missing), decoder(transform)
    with tempfile.TemporaryDirectory(dir=missing[0].path.parent, suffix=".tmp") as decoded:
        for view in missing:
            again = several[view.split] > 1 and view.images <= DECODED
            kept = str(Path(decoded, view.split)) if again else None
            cache.fill(view.path, view.images, source(view.examples.read, decode, view.name, kept), run, dtype)


def _pieces(view: Missing) -> Iterator[on_beam.Piece]:
    """Yields the missing shards of a view."""
    for number in cache.missing(view.path, view.images):
        part = view.examples.part(*cache.place(range(number, number + 1), view.images))
        yield on_beam.Piece(str(view.path), number, view.images, part, view.name)


def _check_space(missing: list[Missing], network: keras.Model, dtype: str) -> None:
    """Raises UserError if the disk has no room for all features: better now than halfway through the pass."""
    row = sum(math.prod(output.shape[1:]) for output in network.outputs) * np.dtype(dtype).itemsize
    there = sum(file.stat().st_size for view in missing for file in view.path.rglob("*.npy"))
    folder, images = missing[0].path.parent, sum(view.images for view in missing)
    needed, free = images * row - there, shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"The features of {images:,} images need {needed / 1e6:,.1f} MB in {folder}, but only {free / 1e6:,.1f} MB are "
            "free: free some space and run again, or set run.root to a folder on another disk."
        )


def _key(
    base: keras.Model,
    at: str,
    model: Model,
    prefix: Prefix,
    engine: inference.Engine,
    examples_uri: str,
    transform: tft.TFTransformOutput,
) -> str:
    """Returns a key that changes whenever anything changes that the features depend on."""
    parts = {
        "examples": _digest(sorted(Path(examples_uri).glob("Split-*/*"))),
        "transform": _digest([Path(transform.transform_savedmodel_dir, "saved_model.pb")]),
        "weights": hashlib.sha256(b"".join(weight.tobytes() for weight in base.get_weights())).hexdigest(),
        "network": [model.backbone, model.image_size, at],
        "engine": [engine.name, engine.precision, prefix.cache_dtype],
        "code": identity(__name__),
    }
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
