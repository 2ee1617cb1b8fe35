"""Tests of features kept on a device: same rows, same order, same training, and only where they fit."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from graftline.artifacts.examples import SPLITS, TEST, TRAIN, VALIDATION
from graftline.features import cache, on_device
from graftline.features.cache import ACTIVATION, CachedSplit
from graftline.features.on_device import Resident
from graftline.network import inference
from tests import tiny
from tests.graftline.features.test_cache import EXAMPLES, Source, run

CPU = "/CPU:0"


def _added(number: int) -> inference.Run:
    """Returns a prefix that differs by view."""
    return lambda images: run(images + number)


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> dict[str, CachedSplit]:
    found = {}
    for split, views in {TRAIN: ("plain", "mirrored"), VALIDATION: ("plain",), TEST: ("plain",)}.items():
        folders = tuple(tmp_path_factory.mktemp(split) / view for view in views)
        for number, folder in enumerate(folders):
            folder.mkdir()
            cache.fill(folder, EXAMPLES, Source(), _added(number), "float16")
        found[split] = CachedSplit(folders, EXAMPLES)
    return found


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("which", [(8,), (8, 7, 1), (8, 7, 1, 3)], ids=["in order", "shuffled", "resumed"])
def test_a_device_gives_what_the_disk_gives(splits, split, which):
    resident = Resident(splits, ACTIVATION, CPU)
    network = resident.network(keras.Sequential([keras.layers.Identity()]))
    there = [(network(rows).numpy(), labels.numpy()) for rows, labels in resident.dataset(split, *which)]
    read = [(rows.numpy(), labels.numpy()) for rows, labels in splits[split].dataset(ACTIVATION, *which)]
    assert len(there) == len(read) > 1
    for (rows, labels), (expected, expected_labels) in zip(there, read, strict=True):
        np.testing.assert_array_equal(rows, expected)
        np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize(("limit", "placed"), [(None, False), (1000, False), (10**9, True)])
def test_features_go_where_they_fit(splits, monkeypatch, limit, placed):
    gpus = [SimpleNamespace(device_type="GPU", memory_limit=limit)] if limit else []
    monkeypatch.setattr(on_device.device_lib, "list_local_devices", lambda: gpus)
    monkeypatch.setattr(on_device, "Resident", lambda splits, field, device: device)
    assert on_device.place(splits, ACTIVATION) == ("/GPU:0" if placed else None)


def test_the_table_takes_its_room_once_while_it_is_built(monkeypatch):
    monkeypatch.setattr(on_device, "CHUNK", 512)
    rows, columns = 16 * on_device.CHUNK, 8192
    size = rows * columns * 4

    def rows_of(*_):
        read = lambda wanted: (np.ones((len(wanted), columns), np.float32), None)  # noqa: E731
        return SimpleNamespace(labels=np.zeros(rows), shape=(columns,), dtype=np.dtype("float32"), read=read)

    monkeypatch.setattr(on_device, "Rows", rows_of)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _kilobytes("VmRSS")
    resident = Resident({TRAIN: CachedSplit((), rows)}, ACTIVATION, CPU)
    assert size < 1024 * (_kilobytes("VmHWM") - before) < 1.5 * size
    assert float(tf.reduce_sum(resident._table[:, 0])) == rows


def _kilobytes(name: str) -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1])


def test_training_on_a_device_is_training_from_the_disk(tmp_path, monkeypatch):
    tiny.write_examples(tmp_path / "examples", 3)
    tiny.write_transform(tmp_path, [])
    graph = str(tmp_path / "graph")
    from_disk = tiny.train(tmp_path / "examples", graph, tmp_path / "disk")
    used = []

    def place(splits: dict[str, CachedSplit], field: str) -> Resident:
        used.append(field)
        return Resident(splits, field, CPU)

    monkeypatch.setattr(on_device, "place", place)
    resident = tiny.train(tmp_path / "examples", graph, tmp_path / "device")
    assert len(used) == 2
    for here, there in zip(from_disk["phases"], resident["phases"], strict=True):
        for one, other in zip(here["epochs"], there["epochs"], strict=True):
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
            assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-6)
