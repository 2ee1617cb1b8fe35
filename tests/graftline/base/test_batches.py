"""Items come in lists of one length, and no sooner than they are wanted."""

import itertools

import pytest

from graftline.base.batches import batched


@pytest.mark.parametrize(
    ("count", "found"), [(0, []), (2, [[0, 1]]), (3, [[0, 1, 2]]), (7, [[0, 1, 2], [3, 4, 5], [6]])]
)
def test_the_last_list_may_be_shorter(count, found):
    assert list(batched(range(count), 3)) == found


def test_items_without_an_end_are_taken_as_they_are_wanted():
    numbers = itertools.count()
    assert next(batched(numbers, 3)) == [0, 1, 2]
    assert next(numbers) == 3
