"""Classifies files batch by batch, several batches in parallel."""

from collections.abc import Callable, Iterable
from pathlib import Path

from graftline.base.batches import batched
from graftline.base.threads import side_by_side
from graftline.serving.predictions import Prediction

Answers = Iterable[tuple[Path, Prediction | str]]
Classify = Callable[[list[bytes | str]], list[Prediction | str]]

THREADS = 4  # so that some threads decode while others compute


def answers(paths: Iterable[Path], classify: Classify, batch_size: int) -> Answers:
    """Yields the answer for each image, in order; holds only as many images at once as the threads work on."""

    def answer(batch: list[Path]) -> list[tuple[Path, Prediction | str]]:
        return list(zip(batch, classify([_read(path) for path in batch]), strict=True))

    for answered in side_by_side(answer, batched(paths, batch_size), THREADS):
        yield from answered


def _read(path: Path) -> bytes | str:
    """Returns a file's contents, or why it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        return f"file cannot be read ({error.strerror})"
