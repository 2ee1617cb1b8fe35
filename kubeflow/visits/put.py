"""Copies a folder of photos from this machine onto the volume, where pods find it as a dataset."""

import contextlib
import csv
import io
import re
import subprocess
import tarfile
import time
from pathlib import Path
from typing import IO, NamedTuple

from graftline.base import console, photos
from graftline.base.errors import UserError
from graftline.base.paths import FOLDER_PREFIX, at_home
from graftline.settings.settings import Settings
from graftline.sources.folder import Folder
from graftline.sources.source import Wanted
from kubeflow.visits.visitor import program, visiting

PHOTOS = "photos"  # the folder of all datasets, below the mount
NAME = re.compile(r"[^./][^/]*(/[^./][^/]*)*")  # no hidden part, and none that leads out of the folder
STEPS = 10  # in which progress is shown
PART = 2**20  # bytes per read
TABLE = "labels.csv"  # next to the photos, if a table gives their classes


class Sent(NamedTuple):
    """What is copied: photos, and a table of their classes if they have one."""

    folder: Path
    photos: list[Path]
    table: bytes | None


def put(settings: Settings, given: str, name: str, labels: Path | None = None) -> dict[str, str]:
    """Copies the photos of a dataset, all or none, and returns the `data` section that names the copy.

    Args:
      settings: the cluster's settings.
      given: a folder with one folder per class, or with folders `span-1`, `span-2`, … of that kind; any layout with a table.
      name: its place below `photos/` on the volume; the folder's own name if this is empty.
      labels: a table of the photos' classes; a table of the copied photos is written next to them.

    Raises:
      UserError: if the folder is not usable, the name is taken, or the copy breaks off.
    """
    if not given:
        raise UserError("FOLDER is empty: give a folder of photos, as in `graftline kubeflow upload ~/photos`.")
    folder = _folder(given)
    sent, name = _with_table(folder, labels) if labels else Sent(folder, _files(folder), None), name or folder.name
    if not NAME.fullmatch(name):
        raise UserError(f"--to {name!r} is not a valid name on the volume: give one such as pets or pets/span-2.")
    sizes = [path.stat().st_size for path in sent.photos]
    place = str(settings.cluster.mount / PHOTOS)
    receive = ["python", "-m", "kubeflow.visits.receive", place, name]
    beside = [len(sent.table)] if sent.table else []
    counts = [f"--files={len(sizes + beside)}", f"--bytes={sum(sizes + beside)}"]
    with (
        visiting(settings, with_settings=False) as pod,
        program(settings, pod, *receive, *counts, stdin=subprocess.PIPE) as process,
    ):
        assert process.stdin
        try:
            _send(process.stdin, sent, sizes)
        except OSError as error:
            raise UserError(
                f"{error.filename or folder} cannot be read ({error.strerror}), so nothing was copied: fix that, and "
                "copy again."
            ) from None
    console.line(f"Copied {len(sizes):,} photos ({console.gigabytes(sum(sizes))}) to {place}/{name}.")
    dataset = {"dataset": f"{FOLDER_PREFIX}{PHOTOS}/{name}"}
    return dataset | {"labels": f"{place}/{name}/{TABLE}"} if labels else dataset


def _folder(given: str) -> Path:
    try:
        return at_home(Path(given)).absolute()
    except ValueError as error:
        raise UserError(f"FOLDER {given!r}: {error}.") from None


def _files(folder: Path) -> list[Path]:
    """Returns the photos of a dataset, in all spans and behind links too, but no other files."""
    sources = [Folder(str(one), Wanted()) for one in sorted(_spans(folder)) or [folder]]
    for source in sources:
        _check(source)
    return [file for source in sources for file in source.held().images()]


def _with_table(folder: Path, labels: Path) -> Sent:
    """Returns the photos that a table names, and a table of their classes by path below the folder."""
    if _spans(folder):
        raise UserError(f"{folder} has spans, each with one folder per class: leave out --labels.")
    source = Folder(str(folder), Wanted(labels=labels))
    _check(source)
    held, table = source.held(), io.StringIO(newline="")
    rows = [(file.path, held.classes[file.label]) for file in held.files if not file.problem]
    csv.writer(table).writerows([("file", "label"), *rows])
    return Sent(folder, held.images(), table.getvalue().encode())


def _spans(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{photos.SPAN}*") if path.name.removeprefix(photos.SPAN).isdigit()]


def _check(source: Folder) -> None:
    try:
        source.check(here=True)
    except ValueError as error:
        raise UserError(f"FOLDER {str(source.folder)!r}: {error}.") from None


def _send(stream: IO[bytes], sent: Sent, sizes: list[int]) -> None:
    """Writes a tar of what is sent, and shows the progress; ends early if nobody reads it any more.

    `tarfile` is not used: if interrupted, it would write the rest of its buffer and wait for a reader that no longer reads.
    """
    total, done = sum(sizes) or 1, 0
    with console.waiting() as shown, contextlib.suppress(BrokenPipeError):  # the program in the pod says why
        if sent.table:
            stream.write(_header(TABLE, len(sent.table), time.time()))
            _copy(io.BytesIO(sent.table), TABLE, stream, len(sent.table))
        for path, size in zip(sent.photos, sizes, strict=True):
            stream.write(_header(str(path.relative_to(sent.folder)), size, path.stat().st_mtime))
            with path.open("rb") as file:
                _copy(file, str(path), stream, size)
            done += size
            shown(f"Copying: {100 // STEPS * (STEPS * done // total)}%")
        stream.write(bytes(2 * tarfile.BLOCKSIZE))


def _header(name: str, size: int, changed: float) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mtime = size, int(changed)
    return header.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")


def _copy(file: IO[bytes], name: str, stream: IO[bytes], size: int) -> None:
    """Writes a file, padded to whole blocks."""
    left = size
    while left:
        part = file.read(min(left, PART))
        if not part:
            raise UserError(f"{name} became shorter while it was read, so nothing was copied: copy again.")
        stream.write(part)
        left -= len(part)
    stream.write(bytes(-size % tarfile.BLOCKSIZE))
