"""Answers together what is asked at once, for a network takes 32 images in much less than 32 times the time of one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

MOST = 32  # rows of a batch


class Batches:
    """Rows that come while batches are computed make up the next one, so nobody waits for a batch to fill."""

    def __init__(self, answer: Callable[[list[Any]], list[Any]], pool: Executor, side_by_side: int) -> None:
        """Sets up an empty queue.

        Args:
          answer: from rows to an answer, or an exception, for each.
          pool: where it runs.
          side_by_side: how many batches are computed at once.
        """
        self._answer = answer
        self._pool = pool
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._side_by_side = side_by_side
        self._work: set[asyncio.Task[None]] = set()

    async def ask(self, row: Any) -> Any:
        """Returns the answer to a row, or raises the exception that it is."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if len(self._work) < self._side_by_side:
            task = asyncio.create_task(self._until_empty())
            self._work.add(task)
            task.add_done_callback(self._work.discard)
        return await future

    async def _until_empty(self) -> None:
        while self._waiting:
            batch = self._waiting[:MOST]
            del self._waiting[:MOST]
            for (_, future), answer in zip(batch, await self._answers([row for row, _ in batch]), strict=True):
                if future.done():  # whoever asked is gone
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def _answers(self, rows: list[Any]) -> list[Any]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, rows)
        except Exception as error:  # whatever it is, it is told to all who wait for it
            return [error] * len(rows)
