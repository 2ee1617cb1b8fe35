"""Receives a folder of photos in a pod: `python -m kubeflow.visits.receive FOLDER NAME --files N --bytes N`.

They come as a tar on standard input. The program unpacks it in another folder, counts the photos, and renames the folder to
FOLDER/NAME, so that nobody ever sees a partial copy.
"""

import argparse
import contextlib
import os
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from graftline.base.errors import UserError

ASIDE = ".incoming"  # for unfinished copies; datasets ignore hidden folders
LONGEST_SECONDS = 24 * 3600  # more than any visit takes


def receive(stream: IO[bytes], folder: Path, name: str, files: int, size: int) -> Path:
    """Unpacks photos, and returns their folder.

    Args:
      stream: a tar of the photos.
      folder: the folder of all datasets.
      name: the dataset's name, below that folder.
      files: the number of files.
      size: their total size in bytes.

    Raises:
      UserError: if the name is taken, the volume cannot be written to, or not everything arrives.
    """
    target = folder / name
    try:
        if target.exists():
            raise _taken(target)
        with _aside(folder) as aside:
            _unpack(stream, aside)
            _count(aside, files, size)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.sync()
            aside.rename(target)
    except OSError as error:
        if target.exists():  # another copy made it meanwhile
            raise _taken(target) from None
        cure = f"make room there, or make it writable for uid {os.getuid()}"
        raise UserError(f"{folder} on the volume cannot be written to ({error.strerror}): {cure}.") from None
    return target


def _taken(target: Path) -> UserError:
    return UserError(f"{target} already exists on the volume: give another name with --to.")


@contextlib.contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    place = folder / ASIDE
    place.mkdir(parents=True, exist_ok=True)
    for lost in place.iterdir():  # left by a killed pod
        if lost.stat().st_mtime < time.time() - LONGEST_SECONDS:
            shutil.rmtree(lost, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(dir=place))
    try:
        aside.chmod(0o755)
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unpack(stream: IO[bytes], aside: Path) -> None:
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            archive.extractall(aside, filter="data")
    except tarfile.TarError as error:
        raise UserError(f"The copy broke off ({error}), and none of it was kept: copy again.") from None


def _count(aside: Path, files: int, size: int) -> None:
    """Compares what arrived with what was sent, because a tar that ends between two files is not an error."""
    sizes = [path.stat().st_size for path in aside.rglob("*") if path.is_file()]
    if (len(sizes), sum(sizes)) != (files, size):
        raise UserError(
            f"The copy broke off after {len(sizes):,} of {files:,} photos, and none of it was kept: copy again."
        )


def main() -> int:
    """Receives the photos, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of all datasets")
    parser.add_argument("name", help="name of this dataset")
    parser.add_argument("--files", type=int, required=True, help="number of files")
    parser.add_argument("--bytes", type=int, required=True, help="their total size in bytes")
    given = parser.parse_args()
    try:
        receive(sys.stdin.buffer, given.folder, given.name, given.files, given.bytes)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
