"""Tests of pooled features of all splits, read with the places of their images."""

from pathlib import Path

import numpy as np
import pytest

from graftline.artifacts.examples import TEST, TRAIN, VALIDATION
from graftline.features import cache, pooled
from graftline.features.cache import POOLED
from tests.clusters import clusters, write


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    sizes = {TRAIN: 60, VALIDATION: 30, TEST: 30}
    return {
        split: write(tmp_path / split, clusters(seed, np.arange(size) % 3), np.arange(size) % 3)
        for seed, (split, size) in enumerate(sizes.items())
    }


@pytest.mark.parametrize("most", [50, 120])
def test_each_image_has_its_own_features_of_many_some_are_drawn(folders: dict[str, str], most: int) -> None:
    assert pooled.count(folders) == 120
    rows, features, labels = pooled.read(folders, most)
    assert len(rows) == len(set(rows)) == len(features) == len(labels) == most
    stored = {split: cache.Rows([Path(folder)], POOLED) for split, folder in folders.items()}
    for row, own, label in zip(rows, features, labels, strict=True):
        kept, kept_label = stored[row[0]].read(np.array([row[1]]))
        assert np.array_equal(kept[0].astype(np.float32), own)
        assert kept_label[0] == label


def test_features_that_are_gone_are_named(folders: dict[str, str]) -> None:
    assert pooled.missing(folders) == []
    assert pooled.missing(folders | {TEST: "/nowhere/test_plain"}) == ["/nowhere/test_plain"]


def test_a_series_is_known_by_its_first_image() -> None:
    rows = [(TRAIN, 0), (TRAIN, 1), (TEST, 0), (TEST, 1)]
    series = [[(TEST, 1), (TRAIN, 1)], [(TRAIN, 99)]]  # the second series holds an image that was not drawn
    assert pooled.firsts(rows, series).tolist() == [0, 1, 2, 1]
