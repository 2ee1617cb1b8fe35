"""Rows that are asked at once are answered together, and each of them gets its own answer."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from graftline.server.batches import MOST, Batches

SEEN: list[list[int]] = []


@pytest.fixture
def batches():
    SEEN.clear()
    with ThreadPoolExecutor(1) as pool:
        yield Batches(answer, pool, 1)


def answer(rows: list[int]) -> list[object]:
    SEEN.append(rows)
    time.sleep(0.02)
    if rows[0] == 1_000:
        raise MemoryError("too much")
    return [ValueError(f"{row} is odd") if row % 2 else 10 * row for row in rows]


def test_what_comes_while_a_batch_is_computed_makes_up_the_next(batches):
    async def ask() -> list[int]:
        return await asyncio.gather(*(batches.ask(2 * row) for row in range(100)))

    assert asyncio.run(ask()) == [20 * row for row in range(100)]
    assert [len(rows) for rows in SEEN] == [MOST, MOST, MOST, 100 - 3 * MOST]


@pytest.mark.parametrize("side_by_side", [1, 2])
def test_rows_that_come_as_the_last_batch_ends_are_answered(side_by_side):
    async def one_after_the_other(batches: Batches) -> list[int]:
        # An answer wakes who asked before the callbacks of the task that gave it run
        return [await batches.ask(row) for row in (2, 4, 6)]

    async def ask(batches: Batches) -> list[list[int]]:
        clients = (one_after_the_other(batches) for _ in range(side_by_side))
        return await asyncio.wait_for(asyncio.gather(*clients), 10)

    with ThreadPoolExecutor(side_by_side) as pool:
        assert asyncio.run(ask(Batches(answer, pool, side_by_side))) == [[20, 40, 60]] * side_by_side


def test_an_error_is_told_to_who_asked_and_to_nobody_else(batches):
    async def ask() -> list[object]:
        return await asyncio.gather(*map(batches.ask, [2, 3, 4]), return_exceptions=True)

    two, three, four = asyncio.run(ask())
    assert (two, four) == (20, 40)
    assert str(three) == "3 is odd"
    assert len(SEEN) == 1


def test_after_a_batch_that_failed_as_a_whole_the_next_is_answered(batches):
    async def ask() -> list[object]:
        first = await asyncio.gather(*map(batches.ask, [1_000, 2]), return_exceptions=True)
        return [*first, await batches.ask(2)]

    *failed, fine = asyncio.run(ask())
    assert [type(error) for error in failed] == [MemoryError, MemoryError]
    assert fine == 20


def test_who_no_longer_waits_disturbs_nobody(batches):
    async def ask() -> int:
        gone = asyncio.create_task(batches.ask(2))
        await asyncio.sleep(0.01)
        gone.cancel()
        return await batches.ask(4)

    assert asyncio.run(ask()) == 40


def test_as_many_batches_as_are_allowed_are_computed_at_once_and_no_more():
    at_once, most = 0, 0

    def slow(rows: list[int]) -> list[int]:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return rows

    async def ask() -> list[int]:
        return await asyncio.gather(*(several.ask(row) for row in range(5 * MOST)))

    with ThreadPoolExecutor(5) as pool:
        several = Batches(slow, pool, 2)
        assert asyncio.run(ask()) == list(range(5 * MOST))
    assert most == 2
