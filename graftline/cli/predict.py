"""Classifies photos with an exported model: `python -m graftline.cli predict production photo.jpg folder/ …`."""

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from graftline.base.errors import UserError
from graftline.base.photos import image_files
from graftline.serving import files, versions
from graftline.serving.files import Answers
from graftline.serving.predictions import Write, writer
from graftline.settings.data import Data

PRODUCTION = "production"
FINE, NOTHING, SOME_SKIPPED, STOPPED = 0, 1, 3, 130


def main() -> int:
    """Classifies what the command line names, and returns the exit status."""
    arguments = _arguments(sys.argv[1:])
    for stream in (sys.stdin, sys.stdout, sys.stderr):  # a file's name need not be UTF-8
        stream.reconfigure(errors="surrogateescape" if stream is sys.stdin else "backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(arguments)
    except UserError as error:
        print(error, file=sys.stderr)
        return NOTHING
    except BrokenPipeError:  # whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except KeyboardInterrupt:
        return STOPPED


def _arguments(command_line: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m graftline.cli predict",
        description="Classifies photos with an exported model: a line an image, with path, label and probability.",
        epilog="Exit status: 0 all were classified, 1 none was, or there is no model, 2 the command line or the "
        "configuration is wrong, 3 some were skipped. Standard error says why.",
    )
    parser.add_argument(
        "model",
        help="folder of a SavedModel or of its versions, of which the highest counts; "
        f"{PRODUCTION}: the one that the configuration in GRAFTLINE_CONFIG has pushed",
    )
    parser.add_argument("photos", nargs="+", help="images, folders of them, or - to read paths from standard input")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--json", dest="kind", action="store_const", const="json", help="objects, with all probabilities")
    kind.add_argument("--csv", dest="kind", action="store_const", const="csv", help="CSV with a header")
    parser.add_argument("--top", type=_positive, default=1, metavar="N", help="tell the N most probable classes (1)")
    parser.add_argument("--batch-size", type=_positive, default=32, metavar="N", help="images computed at once (32)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there, once all is done")
    return parser.parse_args(command_line)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _run(arguments: argparse.Namespace) -> int:
    folder, max_pixels = _model(arguments.model)
    paths, count = _paths(arguments.photos)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silenced():
        from graftline.serving import classifier  # brings TensorFlow, after all that can be wrong by then
        from graftline.serving import exported as opened

        exported = opened.load(folder)
        classify = classifier.Classifier(exported, max_pixels)
    with _output(arguments.output) as file:
        write = writer(file, arguments.kind or "text", exported.label_names, arguments.top)
        answers = files.answers(paths, classify, arguments.batch_size)
        bar = sys.stderr.isatty() and not file.isatty()  # lines that go to a terminal are progress enough
        done, skipped = _predict(answers, count, write, bar)
        if not done:
            raise UserError(f"No image was classified, {skipped:,} could not be: give some that can be read.")
    return SOME_SKIPPED if skipped else FINE


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Drops what TensorFlow says at its start, before its log level counts: standard error is for what is skipped."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _model(name: str) -> tuple[Path, int]:
    """Returns the folder of the model that is asked for, and how many pixels an image may have."""
    if name != PRODUCTION:
        return versions.find(Path(name)), Data.model_fields["max_pixels"].default
    from graftline.settings.load import load_or_exit

    settings = load_or_exit(data_is_here=False)
    return versions.find(settings.push_dir), settings.data.max_pixels


def _paths(names: list[str]) -> tuple[Iterable[Path], int | None]:
    """Returns the images, and how many there are, where that is known beforehand."""
    paths = itertools.chain.from_iterable(map(_below, names))
    if "-" in names:
        return paths, None
    images = list(paths)
    if not images:
        raise UserError(f"There is no image in {', '.join(names)}: give images, or folders that hold some.")
    return images, len(images)


def _below(name: str) -> Iterable[Path]:
    if name == "-":
        return _listed(sys.stdin)
    path = Path(name)
    return image_files(path) if path.is_dir() else [path]


def _listed(lines: TextIO) -> Iterator[Path]:
    """Yields paths, a line each, or each ended by NUL as `find -print0` does."""
    for line in lines:
        if "\0" in line:
            yield from (Path(path) for path in (line + lines.read()).split("\0") if path.strip())
        elif path := line.rstrip("\r\n"):
            yield Path(path)


def _predict(answers: Answers, count: int | None, write: Write, bar: bool) -> tuple[int, int]:
    """Writes answer after answer, and returns how many there were and how many images were skipped."""
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
    """Opens standard output, or a file that is written aside: what was there stays until all is done."""
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
