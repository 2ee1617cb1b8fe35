"""Recipes by the number of images."""

import pytest

from graftline.settings.recipes import resolved

ROWS = [{"up_to": 10, "model": {"image_size": 224}}, {"up_to": 100, "training": {"seed": 1}}, {"training": {"seed": 2}}]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (0, {"model": {"image_size": 224}}),
        (10, {"model": {"image_size": 224}}),
        (11, {"training": {"seed": 1}}),
        (101, {"training": {"seed": 2}}),
        (None, {"training": {"seed": 2}}),
    ],
)
def test_the_first_row_for_as_many_images_is_taken(images, expected):
    assert resolved({"name": "a", "recipes": ROWS}, images) == {"name": "a"} | expected


def test_what_the_configuration_says_comes_before_the_row_key_by_key():
    values = {"recipes": [{"model": {"image_size": 224, "dropout": 0.2}}], "model": {"image_size": 96}}
    assert resolved(values, 5) == {"model": {"image_size": 96, "dropout": 0.2}}


def test_a_configuration_without_a_table_stays_as_it_is():
    assert resolved({"name": "a", "model": None}, 5) == {"name": "a", "model": None}


@pytest.mark.parametrize("table", [None, {}, [], ["a"], "few", [{"up_to": 5}], [{"model": {}}, {"model": {}}]])
def test_a_table_that_is_none_is_refused(table):
    with pytest.raises(ValueError, match="recipes"):
        resolved({"recipes": table}, 5)


def test_rows_that_do_not_ascend_are_refused():
    with pytest.raises(ValueError, match="ascending"):
        resolved({"recipes": [{"up_to": 9}, {"up_to": 5}, {}]}, 5)
