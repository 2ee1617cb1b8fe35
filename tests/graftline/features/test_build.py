"""Tests of the pass over the images: training on the cache equals training on the images; nothing is computed twice."""

import itertools
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from graftline.artifacts import records
from graftline.artifacts.examples import TRAIN
from graftline.base.errors import UserError
from graftline.features import build
from graftline.features.cache import ACTIVATION, POOLED, CachedSplit
from graftline.features.source import decoder, source
from graftline.network import backbone, inference, weights
from graftline.network import losses as network_losses
from graftline.settings.training import Model, Prefix
from tests import tiny
from tests.disks import tmpfs

EXACT = {"engine": "tensorflow", "cache_dtype": "float32"}
# The tutorial's recipe, with pretrained weights: random ones are so unstable that mere rounding makes the losses diverge
TUTORIAL = Model(image_size=96, batch_norm="train")
IMAGES, BATCH, STEPS = 64, 8, 20


def prepare(folder: Path, model: Model) -> SimpleNamespace:
    tiny.write_digits(folder / "examples", IMAGES)
    transform = tiny.write_transform(folder, [], model.image_size)
    return SimpleNamespace(examples=str(folder / "examples"), transform=transform, model=model)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return prepare(tmp_path_factory.mktemp("data"), Model(**tiny.MODEL))


def network(data: SimpleNamespace) -> SimpleNamespace:
    """Returns a network that is the same each time."""
    keras.utils.set_random_seed(3)
    pretrained = weights.resolve(data.model.backbone, data.model.image_size, data.model.weights)
    base = backbone.build(data.model, pretrained.path if pretrained else None)
    at = backbone.cut(base, data.model.fine_tune_at)
    return SimpleNamespace(base=base, head=backbone.head(base, data.model, 2), at=at)


def split(data: SimpleNamespace, work_dir: Path, prefix: dict[str, Any] = EXACT, **training: Any) -> CachedSplit:
    config = {"model": data.model.model_dump(), "prefix": prefix, "training": training, "work_dir": str(work_dir)}
    made = network(data)
    return build.cached_splits(made.base, made.at, config, data.examples, data.transform)[TRAIN]


def decoded(data: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    read = source(records.counted(data.examples, "train").read, decoder(data.transform), "plain")
    images, labels = zip(*read(0, IMAGES).as_numpy_iterator(), strict=True)
    return np.concatenate(images), np.concatenate(labels)


EPOCHS = -(-STEPS * BATCH // IMAGES)


def losses(trained: keras.Model, batches: list[tf.data.Dataset], rate: float) -> list[float]:
    """Trains as the tutorial does, and returns the loss of each step."""
    trained.compile(keras.optimizers.RMSprop(rate), loss=network_losses.loss(2, 0.0))
    found = []
    for inputs, labels in itertools.islice(itertools.chain.from_iterable(batches), STEPS):
        trained.reset_metrics()
        found.append(float(trained.train_on_batch(inputs, labels)))
    return found


def test_losses_on_the_cache_are_those_on_the_images_step_by_step(tmp_path: Path) -> None:
    data = prepare(tmp_path, TUTORIAL)
    cached, cache = network(data), split(data, tmp_path)
    fine_tuned = backbone.fine_tuned(cached.base, cached.head, data.model, cached.at)
    uncached, (images, labels) = network(data), decoded(data)
    # Phase 2 as on the cache, but starting from the images
    prefix = backbone.prefix(uncached.base, data.model, uncached.at)
    whole = keras.Model(
        prefix.input, backbone.fine_tuned(uncached.base, uncached.head, data.model, uncached.at)(prefix.outputs[0])
    )

    def taken(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(images, rows), tf.gather(labels, rows)

    phases = [(cached.head, POOLED, None, 1e-4), (fine_tuned, ACTIVATION, data.model.fine_tune_at, 1e-5)]
    for trained, field, fine_tune_at, rate in phases:
        backbone.set_trainable(cached.base, fine_tune_at)
        backbone.set_trainable(uncached.base, fine_tune_at)
        ours = losses(trained, [cache.dataset(field, BATCH, 5, epoch) for epoch in range(EPOCHS)], rate)
        theirs = losses(whole, [cache.rows(BATCH, 5, epoch).map(taken) for epoch in range(EPOCHS)], rate)
        assert len(set(theirs)) > STEPS / 2, "the losses do not move"
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_a_later_run_finds_everything_in_the_cache(data: SimpleNamespace, tmp_path: Path, monkeypatch) -> None:
    first = split(data, tmp_path)
    monkeypatch.setattr(inference, "compile_prefix", None)
    assert split(data, tmp_path, seed=7, batch_size=5) == first


@pytest.mark.parametrize("change", [{"cache_dtype": "float16"}, {"engine": "openvino"}])
def test_another_engine_or_dtype_is_another_cache(
    data: SimpleNamespace, tmp_path: Path, change: dict[str, str]
) -> None:
    first, second = split(data, tmp_path), split(data, tmp_path, EXACT | change)
    assert first.views != second.views
    ours, theirs = (
        np.concatenate([batch for batch, _ in one.dataset(ACTIVATION, BATCH).as_numpy_iterator()])
        for one in (first, second)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3 * np.abs(theirs).max())


def test_other_images_weights_or_transform_are_another_cache(data: SimpleNamespace, tmp_path: Path) -> None:
    def key(examples: str = data.examples, transform: tft.TFTransformOutput = data.transform, seed: int = 0) -> str:
        base = network(data).base
        if seed:
            base.set_weights([weight + seed for weight in base.get_weights()])
        engine = inference.Engine("tensorflow", "float32")
        return build._key(base, "block_1_expand", data.model, Prefix(), engine, examples, transform)

    tiny.write_digits(tmp_path / "same", IMAGES)
    tiny.write_digits(tmp_path / "other", IMAGES - 1)
    larger = tiny.write_transform(tmp_path / "transform", [], 128)
    assert key() == key(str(tmp_path / "same"))
    assert len({key(), key(str(tmp_path / "other")), key(transform=larger), key(seed=1)}) == 4


def test_a_disk_too_small_is_told_before_the_pass(data: SimpleNamespace, tmp_path: Path) -> None:
    with tmpfs(tmp_path, "400k"):
        with pytest.raises(UserError, match=r"The features of 192 images need \d+\.\d MB in .* set run\.root to"):
            split(data, tmp_path)
        assert list(tmp_path.rglob("*.npy")) == [], "a split was computed, although there is only room for one of them"
        subprocess.run(["mount", "-o", "remount,size=100m", str(tmp_path)], check=True)
        assert split(data, tmp_path).examples == IMAGES


def test_flipping_caches_mirrored_images_of_the_train_split(data: SimpleNamespace, tmp_path: Path) -> None:
    cache = split(data, tmp_path, augmentation="flip")
    assert [view.name for view in cache.views] == ["train_plain", "train_mirrored"]
    made, (images, _) = network(data), decoded(data)
    expected, _ = backbone.prefix(made.base, data.model, made.at)(images[:, :, ::-1], training=False)
    mirrored = CachedSplit(cache.views[1:], cache.examples).dataset(ACTIVATION, IMAGES)
    (found,) = [batch for batch, _ in mirrored.as_numpy_iterator()]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
