"""What a classifier answers to files, batch by batch, some of them side by side."""

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

from graftline.base.threads import side_by_side
from graftline.serving.predictions import Prediction

Answers = Iterable[tuple[Path, Prediction | str]]
Classify = Callable[[list[bytes | str]], list[Prediction | str]]

THREADS = 4  # so that some decode while others compute


def answers(paths: Iterable[Path], classify: Classify, batch_size: int) -> Answers:
    """Yields what is found of each image, in order; no more of them are held at once than threads work on."""

    def answer(batch: list[Path]) -> list[tuple[Path, Prediction | str]]:
        return list(zip(batch, classify([_read(path) for path in batch]), strict=True))

    remaining = iter(paths)
    batches = iter(lambda: list(itertools.islice(remaining, batch_size)), [])
    for answered in side_by_side(answer, batches, THREADS):
        yield from answered


def _read(path: Path) -> bytes | str:
    """Returns a file's contents, or why it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        return f"file cannot be read ({error.strerror})"
