"""Whether a class lost images: growth is none, nor is the same mix of fewer images."""

import pytest

from graftline.data.drift import lost_classes


@pytest.mark.parametrize(
    ("counts", "lost"),
    [
        ({"cat": 50, "dog": 50}, []),
        ({"cat": 500, "dog": 50}, []),
        ({"cat": 5, "dog": 5}, []),
        ({"cat": 500, "dog": 42}, []),
        ({"cat": 50, "dog": 50, "emu": 400}, []),
        ({"cat": 80, "dog": 20}, ["dog"]),
        ({"cat": 8, "dog": 2}, ["dog"]),
        ({"cat": 500, "dog": 20}, ["dog"]),
        ({"dog": 50}, ["cat"]),
        ({}, []),
    ],
)
def test_a_class_lost_images_where_others_kept_theirs(counts, lost):
    lines = lost_classes(counts, {"cat": 50, "dog": 50}, allowed=0.1)
    assert [line.split("'")[1] for line in lines] == lost


def test_without_a_bound_nothing_is_demanded():
    assert lost_classes({"cat": 80}, {"cat": 50, "dog": 50}, allowed=0) == []
