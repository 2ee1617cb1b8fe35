"""Copies a folder of photos of this machine onto the volume, where pods find it as a dataset."""

import contextlib
import re
import subprocess
import tarfile
from pathlib import Path
from typing import IO

from graftline.base import console, photos
from graftline.base.errors import UserError
from graftline.base.paths import FOLDER_PREFIX, at_home
from graftline.settings.settings import Settings
from graftline.sources.folder import Folder
from graftline.sources.source import Wanted
from kubeflow.visits.visitor import program, visiting

PHOTOS = "photos"  # the folder of all datasets, below the mount
NAME = re.compile(r"[^./][^/]*(/[^./][^/]*)*")  # no hidden part, and none that leads out of the folder
STEPS = 10  # of the progress that is shown
PART = 2**20  # bytes that are read at once


def put(settings: Settings, given: str, name: str) -> str:
    """Copies the photos of a dataset, all of them or none, and returns `data.dataset` as it is named then.

    Args:
      settings: those of the cluster.
      given: a folder that holds a folder per class, or folders `span-1`, `span-2`, … that do.
      name: its place below `photos/` on the volume; the folder's own name where it is empty.

    Raises:
      UserError: where it is no such folder, the name is taken, or the copy breaks off.
    """
    if not given:
        raise UserError("FOLDER is empty: give a folder of photos, as in `graftline kubeflow upload ~/photos`.")
    folder = _folder(given)
    files, name = _files(folder), name or folder.name
    if not NAME.fullmatch(name):
        raise UserError(f"--to {name!r} is not a place on the volume: give a name, or two as in pets/span-2.")
    sizes = [path.stat().st_size for path in files]
    place = str(settings.cluster.mount / PHOTOS)
    receive = ["python", "-m", "kubeflow.visits.receive", place, name]
    counts = [f"--files={len(files)}", f"--bytes={sum(sizes)}"]
    with (
        visiting(settings, with_settings=False) as pod,
        program(settings, pod, *receive, *counts, stdin=subprocess.PIPE) as process,
    ):
        assert process.stdin
        try:
            _send(process.stdin, folder, files, sizes)
        except OSError as error:
            raise UserError(
                f"{error.filename or folder} cannot be read ({error.strerror}): nothing is copied."
            ) from None
    console.line(f"Copied {len(files):,} photos ({console.gigabytes(sum(sizes))}) to {place}/{name}.")
    return f"{FOLDER_PREFIX}{PHOTOS}/{name}"


def _folder(given: str) -> Path:
    try:
        return at_home(Path(given)).absolute()
    except ValueError as error:
        raise UserError(f"PHOTOS = {given!r}: {error}.") from None


def _files(folder: Path) -> list[Path]:
    """Returns the photos of a dataset, of all spans, through links too; other files are no part of it."""
    spans = [path for path in folder.glob(f"{photos.SPAN}*") if path.name.removeprefix(photos.SPAN).isdigit()]
    held = sorted(spans) or [folder]
    sources = [Folder(str(one), Wanted()) for one in held]
    try:
        for source in sources:
            source.check(here=True)
    except ValueError as error:
        raise UserError(f"PHOTOS = {str(folder)!r}: {error}.") from None
    return [file for source in sources for file in source.held().images()]


def _send(stream: IO[bytes], folder: Path, files: list[Path], sizes: list[int]) -> None:
    """Writes a tar of the files, and shows how far it is; it ends early where nobody reads it any more.

    `tarfile` would write what it still holds when this is stopped, and wait for a reader that does not read.
    """
    total, sent = sum(sizes) or 1, 0
    with console.waiting() as shown, contextlib.suppress(BrokenPipeError):  # the program at the other end says why
        for path, size in zip(files, sizes, strict=True):
            header = tarfile.TarInfo(str(path.relative_to(folder)))
            header.size, header.mtime = size, int(path.stat().st_mtime)
            stream.write(header.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape"))
            _copy(path, stream, size)
            sent += size
            shown(f"Copying: {100 // STEPS * (STEPS * sent // total)} %")
        stream.write(bytes(2 * tarfile.BLOCKSIZE))


def _copy(path: Path, stream: IO[bytes], size: int) -> None:
    """Writes a file, padded to whole blocks."""
    with path.open("rb") as file:
        left = size
        while left:
            part = file.read(min(left, PART))
            if not part:
                raise UserError(f"{path} became shorter while it was read, and nothing is copied: copy again.")
            stream.write(part)
            left -= len(part)
    stream.write(bytes(-size % tarfile.BLOCKSIZE))
