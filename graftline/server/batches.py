"""Batches concurrent requests, because a network needs much less time for 32 images at once than one by one."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

MOST = 32  # rows in a batch


class Batches:
    """Rows that arrive while batches are computed form the next batch, so no request waits for a batch to fill."""

    def __init__(self, answer: Callable[[list[Any]], list[Any]], pool: Executor, side_by_side: int) -> None:
        """Sets up an empty queue.

        Args:
          answer: turns rows into an answer, or an exception, for each row.
          pool: runs `answer`.
          side_by_side: most batches computed at once.
        """
        self._answer = answer
        self._pool = pool
        self._waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self._side_by_side = side_by_side
        self._at_work = (
            0  # counted here, because a task is done before its callbacks run, and a row may come in between
        )
        self._tasks: set[asyncio.Task[None]] = set()  # asyncio itself does not keep them

    async def ask(self, row: Any) -> Any:
        """Returns the answer to a row, or raises it if it is an exception."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if self._at_work < self._side_by_side:
            self._at_work += 1
            task = asyncio.create_task(self._until_empty())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def _until_empty(self) -> None:
        try:
            while self._waiting:
                await self._next_batch()
        finally:
            self._at_work -= 1

    async def _next_batch(self) -> None:
        batch = self._waiting[:MOST]
        del self._waiting[:MOST]
        for (_, future), answer in zip(batch, await self._answers([row for row, _ in batch]), strict=True):
            if future.done():  # the client is gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _answers(self, rows: list[Any]) -> list[Any]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, rows)
        except Exception as error:  # every row that waits gets it
            return [error] * len(rows)
