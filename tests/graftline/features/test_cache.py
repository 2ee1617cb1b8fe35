"""Tests of the cache: what goes in comes out, in order or shuffled; interrupted and damaged passes are repaired."""

import logging
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from graftline.base.errors import UserError
from graftline.features import cache
from graftline.features.cache import ACTIVATION, POOLED, CachedSplit

EXAMPLES = 50


def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return images[:, :2, :2, :] * 2, images.mean((1, 2))


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD_EXAMPLES", 16)


class Source:
    """Images whose pixels all equal their number; it records the numbers as they are read."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.read: list[int] = []
        self.stop_at = stop_at

    def __call__(self, first: int, count: int) -> tf.data.Dataset:
        numbers = tf.data.Dataset.range(first, first + count).batch(8)
        return numbers.map(lambda batch: (self._images(batch), tf.py_function(self._note, [batch], tf.int64)))

    def _images(self, batch: tf.Tensor) -> tf.Tensor:
        return tf.ones([tf.size(batch), 4, 4, 3]) * tf.cast(batch, tf.float32)[:, None, None, None]

    def _note(self, batch: tf.Tensor) -> tf.Tensor:
        if self.stop_at is not None and batch[-1] >= self.stop_at:
            raise KeyboardInterrupt
        self.read += batch.numpy().tolist()
        return batch % 3


def fill(folder: Path, source: Source, dtype: str = "float16") -> CachedSplit:
    if not cache.is_complete(folder, EXAMPLES):
        cache.fill(folder, EXAMPLES, source, run, dtype)
    return CachedSplit((folder,), EXAMPLES)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_goes_in_comes_out_in_order(tmp_path: Path, dtype: str) -> None:
    split = fill(tmp_path / "train", Source(), dtype)
    activations, labels = zip(*split.dataset(ACTIVATION, 7).as_numpy_iterator(), strict=True)
    pooled, _ = zip(*split.dataset(POOLED, 7).as_numpy_iterator(), strict=True)
    numbers = np.arange(EXAMPLES, dtype=np.float32)
    np.testing.assert_array_equal(
        np.concatenate(activations), np.ones((EXAMPLES, 2, 2, 3)) * 2 * numbers[:, None, None, None]
    )
    np.testing.assert_array_equal(np.concatenate(pooled), np.ones((EXAMPLES, 3)) * numbers[:, None])
    np.testing.assert_array_equal(np.concatenate(labels), numbers % 3)
    assert activations[0].dtype == np.float32
    stored = np.load(cache.shards(tmp_path / "train")[0] / "pooled.npy", mmap_mode="r")
    assert stored.dtype == dtype


def test_two_processes_that_fill_the_same_cache_leave_each_row_once(tmp_path: Path) -> None:
    folder = tmp_path / "train"
    folder.mkdir()
    together = threading.Barrier(2)

    class Together(Source):
        def __call__(self, first: int, count: int) -> tf.data.Dataset:
            together.wait()
            return super().__call__(first, count)

    sources = [Together(), Together()]
    with ThreadPoolExecutor(2) as threads:
        for filled in [threads.submit(cache.fill, folder, EXAMPLES, source, run, "float16") for source in sources]:
            filled.result()
    assert [len(source.read) for source in sources] == [EXAMPLES, EXAMPLES]
    assert cache.is_complete(folder, EXAMPLES)
    assert not list(folder.glob("*.tmp"))
    pooled = [batch for batch, _ in CachedSplit((folder,), EXAMPLES).dataset(POOLED, 7).as_numpy_iterator()]
    np.testing.assert_array_equal(np.concatenate(pooled)[:, 0], np.arange(EXAMPLES))


def test_what_a_killed_process_has_left_half_written_goes_when_it_is_a_day_old(tmp_path: Path) -> None:
    old, recent = tmp_path / "train/00000-old.tmp", tmp_path / "train/00000-recent.tmp"
    for left in (old, recent):
        left.mkdir(parents=True)
    os.utime(old, (0, 0))
    fill(tmp_path / "train", Source())
    assert (old.exists(), recent.exists()) == (False, True)


def epochs(split: CachedSplit, seed: int, count: int = 2) -> list[list[float]]:
    data = [split.dataset(POOLED, 8, seed, epoch) for epoch in range(count)]
    return [[row[0] for batch, _ in epoch.as_numpy_iterator() for row in batch] for epoch in data]


def test_shuffled_over_the_whole_set_anew_each_epoch_and_the_same_each_run(tmp_path: Path) -> None:
    split = fill(tmp_path / "train", Source())
    first, second = epochs(split, seed=7)
    assert sorted(first) == sorted(second) == list(range(EXAMPLES))
    assert first != second
    assert [first, second] == epochs(split, seed=7)
    assert [first, second] != epochs(split, seed=8)
    assert max(first[:8]) - min(first[:8]) > 16, "a batch comes from a single shard"


def test_an_epoch_goes_on_at_any_step(tmp_path: Path) -> None:
    split = fill(tmp_path / "train", Source())
    whole = [labels.tolist() for _, labels in split.dataset(POOLED, 8, seed=7, epoch=1).as_numpy_iterator()]
    rest = [labels.tolist() for _, labels in split.dataset(POOLED, 8, seed=7, epoch=1, start=3).as_numpy_iterator()]
    assert rest == whole[3:]
    assert len(whole) == split.steps(8)


def test_an_epoch_takes_one_view_of_each_example(tmp_path: Path) -> None:
    fill(tmp_path / "plain", Source())
    cache.is_complete(tmp_path / "mirrored", EXAMPLES)
    cache.fill(tmp_path / "mirrored", EXAMPLES, Source(), lambda images: run(images + 100), "float16")
    split = CachedSplit((tmp_path / "plain", tmp_path / "mirrored"), EXAMPLES)
    first, second = ([(value % 100, value >= 100) for value in epoch] for epoch in epochs(split, seed=7))
    assert sorted(number for number, _ in first) == list(range(EXAMPLES))
    assert 10 < sum(mirrored for _, mirrored in first) < 40
    assert dict(first) != dict(second), "the same views were drawn in both epochs"
    kept = [row[0] for batch, _ in split.dataset(POOLED, 8).as_numpy_iterator() for row in batch]
    assert kept == list(range(EXAMPLES))


def test_the_next_seed_does_not_draw_the_views_of_the_next_epoch(tmp_path: Path) -> None:
    split = CachedSplit((tmp_path / "plain", tmp_path / "mirrored"), EXAMPLES)

    def views(seed: int, epoch: int) -> list[int]:
        return [int(row) // EXAMPLES for batch in split.rows(8, seed, epoch) for row in batch]

    assert views(42, 1) == views(42, 1)
    assert views(42, 1) != views(43, 0)


def test_a_read_that_gives_less_than_asked_for_is_gone_on_with(tmp_path: Path, monkeypatch) -> None:
    rows = cache.Rows(fill(tmp_path / "train", Source()).views, ACTIVATION)
    whole, read = rows.read(np.arange(EXAMPLES))[0], os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, offset: read(file, [buffers[0][:5]], offset))
    np.testing.assert_array_equal(rows.read(np.arange(EXAMPLES))[0], whole)


def test_a_file_that_has_become_shorter_is_told(tmp_path: Path) -> None:
    split = fill(tmp_path / "train", Source())
    rows, file = cache.Rows(split.views, ACTIVATION), cache.shards(tmp_path / "train")[1] / f"{ACTIVATION}.npy"
    os.truncate(file, file.stat().st_size - 3)
    with pytest.raises(UserError, match=rf"{file} was truncated during the run: run again"):
        rows.read(np.arange(EXAMPLES))


def test_a_complete_cache_is_not_computed_again(tmp_path: Path) -> None:
    fill(tmp_path / "train", Source())
    again = Source()
    fill(tmp_path / "train", again)
    assert again.read == []


def test_an_interrupted_pass_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.OpError):
        fill(tmp_path / "train", Source(stop_at=48))
    again = Source()
    split = fill(tmp_path / "train", again)
    assert again.read == list(range(32, EXAMPLES))
    assert epochs(split, seed=1)[0] != sorted(epochs(split, seed=1)[0])
    assert sorted(epochs(split, seed=1)[0]) == list(range(EXAMPLES))


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "missing field", "missing checksums"])
def test_a_damaged_shard_is_told_and_made_again_alone(tmp_path: Path, caplog, damage: str) -> None:
    split = fill(tmp_path / "train", Source())
    before = epochs(split, seed=1)
    file = tmp_path / "train" / "00001" / ("crc32.json" if damage == "missing checksums" else f"{ACTIVATION}.npy")
    contents = bytearray(file.read_bytes())
    if damage == "flipped bit":
        contents[-5] ^= 4
        file.write_bytes(contents)
    elif damage == "truncated":
        file.write_bytes(contents[:-7])
    else:
        file.unlink()
    again = Source()
    with caplog.at_level(logging.WARNING):
        split = fill(tmp_path / "train", again)
    assert again.read == list(range(16, 32))
    assert str(tmp_path / "train" / "00001") in caplog.text
    assert epochs(split, seed=1) == before


def test_shards_that_are_missing_are_computed_and_no_others(tmp_path: Path) -> None:
    before = epochs(fill(tmp_path / "train", Source()), seed=1)
    for number in (0, 2, 3):
        shutil.rmtree(tmp_path / "train" / f"{number:05}")
    assert cache.missing(tmp_path / "train", EXAMPLES) == [0, 2, 3]
    again = Source()
    assert epochs(fill(tmp_path / "train", again), seed=1) == before
    assert again.read == [*range(16), *range(32, EXAMPLES)]


def test_a_half_written_shard_is_not_read(tmp_path: Path) -> None:
    fill(tmp_path / "train", Source())
    last = cache.shards(tmp_path / "train")[-1]
    last.rename(last.with_suffix(".tmp"))
    assert not cache.is_complete(tmp_path / "train", EXAMPLES)
    again = Source()
    fill(tmp_path / "train", again)
    assert again.read == list(range(48, EXAMPLES))


def test_rows_are_read_across_shards_in_the_order_asked_for(tmp_path: Path) -> None:
    split = fill(tmp_path / "train", Source())
    rows = np.array([49, 0, 17, 16, 15])
    pooled, labels = cache.Rows(split.views, POOLED).read(rows)
    np.testing.assert_array_equal(pooled[:, 0], rows)
    np.testing.assert_array_equal(labels, rows % 3)
