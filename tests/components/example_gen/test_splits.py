"""Which split an image belongs to."""

from collections import Counter

import pytest

from components.example_gen.splits import split_of
from graftline.artifacts.examples import SPLITS
from graftline.settings.data import Splits


def test_splits_get_their_fractions():
    splits = Splits(train=0.5, validation=0.3, test=0.2)
    counts = Counter(split_of(str(i).encode(), splits) for i in range(10_000))
    assert [counts[name] for name in SPLITS] == pytest.approx([5000, 3000, 2000], abs=150)


def test_an_image_keeps_its_split_from_version_to_version():
    found = [split_of(str(i).encode(), Splits()) for i in range(10)]
    others = {2: "validation", 5: "test", 6: "test"}
    assert found == [others.get(i, "train") for i in range(10)]
