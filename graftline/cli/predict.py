"""Classifies images with an exported model: `graftline predict photo.jpg folder/ …`."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from graftline.base.errors import UserError
from graftline.base.photos import image_files
from graftline.cli.options import about
from graftline.cli.quiet import silenced
from graftline.serving import files, versions
from graftline.serving.files import Answers
from graftline.serving.predictions import Kind, Write, writer
from graftline.settings.settings import Settings

FINE, SOME_SKIPPED = 0, 3
AT_LEAST_ONE = click.IntRange(min=1)


@click.command(
    epilog="Exit status: 0 if all images were classified, 1 if none was or there is no model, 2 if the command line or the "
    "configuration is wrong, 3 if some images were skipped. Standard error says why."
)
@click.argument("images", nargs=-1, required=True)
@about(of_last_run=True)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Another model: the folder of a SavedModel, or a folder of versions.",
)
@click.option("--json", "kind", flag_value="json", help="Print JSON objects with all probabilities.")
@click.option("--csv", "kind", flag_value="csv", help="Print CSV with a header.")
@click.option(
    "--top", type=AT_LEAST_ONE, default=1, show_default=True, help="Number of most probable classes to print."
)
@click.option(
    "--batch-size", type=AT_LEAST_ONE, default=32, show_default=True, help="Number of images to classify at once."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write to this file, once all images are done.",
)
def predict(settings: Settings, images: tuple[str, ...], model: Path | None, **how: Any) -> int:
    """Classify IMAGES with the model in production, one line each: path, label and probability.

    IMAGES are files or folders of images; - reads paths from standard input.
    """
    try:
        return _run(versions.find(model or settings.push_dir), settings.data.max_pixels, images, **how)
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE


def _run(
    folder: Path,
    max_pixels: int,
    images: Sequence[str],
    kind: Kind | None,
    top: int,
    batch_size: int,
    output: Path | None,
) -> int:
    paths, count = _paths(images)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # standard error is only for skipped images
    with silenced():
        from graftline.serving import classifier  # imports TensorFlow, after the checks that do not need it
        from graftline.serving import exported as opened

        exported = opened.load(folder)
        classify = classifier.Classifier(exported, max_pixels)
    with _output(output) as file:
        write = writer(file, kind or "text", exported.label_names, top)
        answers = files.answers(paths, classify, batch_size)
        bar = sys.stderr.isatty() and not file.isatty()  # on a terminal, the lines show the progress
        done, skipped = _predict(answers, count, write, bar)
        if not done:
            raise UserError(f"No image was classified, and {skipped:,} were skipped: give readable images.")
    return SOME_SKIPPED if skipped else FINE


def _paths(names: Sequence[str]) -> tuple[Iterable[Path], int | None]:
    """Returns the images, and how many there are if that is known beforehand."""
    paths = itertools.chain.from_iterable(map(_below, names))
    if "-" in names:
        return paths, None
    images = list(paths)
    if not images:
        raise UserError(f"There is no image in {', '.join(names)}: give images, or folders that contain some.")
    return images, len(images)


def _below(name: str) -> Iterable[Path]:
    if name == "-":
        return _listed(sys.stdin)
    path = Path(name)
    return image_files(path) if path.is_dir() else [path]


def _listed(lines: TextIO) -> Iterator[Path]:
    """Yields paths, one per line, or each ended by NUL as `find -print0` does."""
    for line in lines:
        if "\0" in line:
            yield from (Path(path) for path in (line + lines.read()).split("\0") if path.strip())
        elif path := line.rstrip("\r\n"):
            yield Path(path)


def _predict(answers: Answers, count: int | None, write: Write, bar: bool) -> tuple[int, int]:
    """Writes the answers one by one, and returns how many images were classified and how many were skipped."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    done = skipped = 0
    with Progress(console=console, redirect_stdout=False, transient=True, disable=not bar) as progress:
        task = progress.add_task("Images", total=count)
        for path, answer in answers:
            if isinstance(answer, str):
                print(f"{path}: {answer}", file=sys.stderr)
                skipped += 1
            else:
                write(str(path), answer)
                done += 1
            progress.advance(task)
    return done, skipped


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Opens standard output, or a file that replaces the previous one once it is complete."""
    if path is None:
        yield sys.stdout
        return
    aside = path.with_name(f".{path.name}.aside")
    try:
        with aside.open("w", errors="backslashreplace") as file:
            yield file
        aside.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}): give another --output.") from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink()
