"""Items in lists of one length."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yields lists of consecutive items, the last of which may be shorter; it takes no item before its list is wanted.

    Args:
      items: what to put into lists.
      size: length of a list.
    """
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, size)):
        yield batch
