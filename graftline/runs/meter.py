"""Measures the time and memory of a component."""

import threading
import time
from types import TracebackType
from typing import Self

import psutil


class Meter:
    """Measures time, and the peak resident memory of this process and its children in bytes."""

    INTERVAL = 0.1  # seconds between two measurements

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._process = psutil.Process()
        self._start = time.monotonic()
        self._end: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._end = time.monotonic()

    def seconds(self) -> float:
        """Returns the time since the start, or until the end if there was one."""
        return (self._end or time.monotonic()) - self._start

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self._resident())
            if self._stop.wait(self.INTERVAL):
                return

    def _resident(self) -> int:
        total = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:  # it ended after it was listed
                continue
        return total
