"""Whether a class lost images: neither growth nor fewer images in the same mix count."""

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
        ({"cat": 80, "dog": 20}, ["cat", "dog"]),
        ({"cat": 8, "dog": 2}, ["cat", "dog"]),
        ({"cat": 500, "dog": 20}, ["cat", "dog"]),
        ({"dog": 50}, ["cat", "dog"]),
        ({}, []),
    ],
)
def test_a_class_lost_images_where_others_kept_theirs(counts, lost):
    lines = lost_classes(counts, {"cat": 50, "dog": 50}, allowed=0.1)
    assert [line.split("'")[1] for line in lines] == lost


def test_many_classes_that_lost_a_little_each_are_seen_in_the_one_that_did_not():
    before = {str(number): 100 for number in range(10)}
    (line,) = lost_classes(dict.fromkeys(before, 25) | {"0": 100}, before, allowed=0.1)
    assert "class '0'" in line
    assert "its share is 31% instead of 10%" in line


def test_without_a_bound_nothing_is_demanded():
    assert lost_classes({"cat": 80}, {"cat": 50, "dog": 50}, allowed=0) == []
