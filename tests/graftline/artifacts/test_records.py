"""The examples of a split are read in order, a few at a time."""

import os

import pytest
import tensorflow as tf

from graftline.artifacts import records
from graftline.artifacts.examples import TRAIN

COUNT = 1000


@pytest.fixture
def examples(tmp_path):
    """A split of two files."""
    (tmp_path / f"Split-{TRAIN}").mkdir()
    for number in range(2):
        with tf.io.TFRecordWriter(str(tmp_path / f"Split-{TRAIN}/{number}")) as writer:
            for record in range(number * COUNT // 2, (number + 1) * COUNT // 2):
                writer.write(str(record).encode())
    return str(tmp_path)


def test_what_a_function_returns_comes_in_the_order_of_the_examples(examples):
    assert list(records.each(examples, TRAIN, int)) == list(range(COUNT))


def test_only_a_few_examples_are_read_ahead(examples):
    seen: list[bytes] = []
    found = records.each(examples, TRAIN, seen.append)
    next(found)
    assert len(seen) <= records.AT_ONCE * ((os.cpu_count() or 1) + 2)
    assert len([*found]) == len(seen) - 1 == COUNT - 1


def test_what_a_function_raises_is_raised(examples):
    def fails(record: bytes) -> None:
        raise ValueError(record)

    with pytest.raises(ValueError, match="b'0'"):
        next(records.each(examples, TRAIN, fails))
