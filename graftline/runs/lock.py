"""Locks that a run holds against other runs, and that are freed however their holder ends.

On one machine a lock is a file lock, which the system frees with the process. Machines that share a metadata server use that
server's named locks, which are freed when the connection is gone. Whether file locks on a shared volume work depends on the
volume.
"""

import contextlib
import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import psutil
import pymysql

from graftline.base import console, stop
from graftline.base.errors import UserError
from graftline.settings.cluster import Mysql
from graftline.settings.settings import Settings

RUN, PUSHES = "run", "pushes"  # the locks of a pipeline
PUSH_SECONDS = 600  # how long to wait for another push, which takes seconds
HEARTBEAT_SECONDS = 10.0
TIMEOUT_SECONDS = 15  # of a query to the server
SILENT_SECONDS = 60  # until the server closes a silent connection: longer than a heartbeat and its answer may take
ASK_SECONDS = 5  # how long a query may wait for the lock, so that Ctrl-C is noticed


class HeldError(UserError):
    """Another process holds the lock."""


@contextlib.contextmanager
def held(settings: Settings, what: str, seconds: float = 0) -> Iterator[None]:
    """Holds a lock of a pipeline.

    Inside, `stop.heed` stops a process that has lost it; call that before anything is published.

    Args:
      settings: the pipeline's settings.
      what: RUN or PUSHES.
      seconds: how long to wait if another process holds it.

    Raises:
      HeldError: if another process still holds it after that time.
      UserError: if the metadata server cannot be reached.
    """
    with (
        _named(settings.metadata, settings.name, what, seconds) if settings.metadata else _file(settings, what, seconds)
    ):
        yield


def _path(settings: Settings, what: str) -> Path:
    return settings.run.root / "locks" / f"{settings.name}.{what}.lock"


@contextlib.contextmanager
def _file(settings: Settings, what: str, seconds: float) -> Iterator[None]:
    path = _path(settings, what)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    _acquire(lock, settings, what, seconds)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock, settings: Settings, what: str, seconds: float) -> None:
    with contextlib.suppress(filelock.Timeout):
        lock.acquire(blocking=False)
        return
    if seconds:
        console.line(f"{_who(settings, what)}: waiting for it to end.")
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        raise HeldError(
            f"{_who(settings, what)}: wait for it to end, or let this run wait with `graftline run --wait <minutes>`."
        ) from None


def _who(settings: Settings, what: str) -> str:
    process = holder(settings, what)
    known = ""
    if process:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(process.create_time()))
        known = f" (process {process.pid}, since {since})"
    doing = "is running" if what == RUN else "is pushing a model, or taking one back"
    return f"Another run of {settings.name} in {settings.run.root} {doing}{known}"


def holder(settings: Settings, what: str = RUN) -> psutil.Process | None:
    """Returns the process on this machine that holds a lock, as far as this user may see it; None if there is none.

    Args:
      settings: the pipeline's settings.
      what: RUN or PUSHES.
    """
    path, found = str(_path(settings, what).resolve()), []
    for process in psutil.process_iter():
        try:
            if any(file.path == path for file in process.open_files()):
                found.append((process.create_time(), process.pid, process))
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return min(found)[-1] if found else None  # the oldest, because its forks hold the lock too


class _NamedLock:
    """A lock of a MySQL or MariaDB server, with a heartbeat that notices its loss.

    Args:
      server: the metadata server.
      name: the lock's name on the server.
    """

    def __init__(self, server: Mysql, name: str) -> None:
        self._name = name
        self._one_at_a_time, self._end = threading.Lock(), threading.Event()
        self._lost = ""
        place: dict[str, Any] = (
            {"unix_socket": server.socket} if server.socket else {"host": server.host, "port": server.port}
        )
        self._connection = pymysql.connect(
            **place,
            user=server.user,
            password=server.password.get_secret_value(),
            database=server.database,
            connect_timeout=TIMEOUT_SECONDS,
            read_timeout=TIMEOUT_SECONDS,
            write_timeout=TIMEOUT_SECONDS,
            init_command=f"SET SESSION wait_timeout = {SILENT_SECONDS}",
            autocommit=True,
        )
        self._heart = threading.Thread(target=self._beat, daemon=True)

    def _ask(self, question: str, *values: Any) -> Any:
        with self._one_at_a_time, self._connection.cursor() as cursor:
            cursor.execute(question, values)
            return cursor.fetchone()[0]

    def acquire(self, seconds: float) -> bool:
        """Returns whether the lock was acquired within this time."""
        until = time.monotonic() + seconds
        while not self._ask("SELECT GET_LOCK(%s, %s)", self._name, min(ASK_SECONDS, max(0, until - time.monotonic()))):
            stop.heed()
            if time.monotonic() >= until:
                return False
        self._heart.start()
        return True

    def check(self) -> None:
        """Checks that the lock is still held.

        Raises:
          UserError: if it is not, or the server does not confirm it.
        """
        try:
            if not self._lost and not self._ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", self._name):
                self._lost = "the server has freed it"
        except (pymysql.Error, OSError) as error:
            self._lost = str(error)
        if self._lost:
            raise UserError(
                f"The lock {self._name} of the metadata server was lost ({self._lost}), and another run may hold it: "
                "nothing was published; run again."
            )

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            try:
                self.check()
            except UserError:
                return  # the holder finds out by its own check

    def close(self) -> None:
        """Frees the lock."""
        self._end.set()
        with contextlib.suppress(pymysql.Error, OSError):
            self._connection.close()


@contextlib.contextmanager
def _named(server: Mysql, pipeline: str, what: str, seconds: float) -> Iterator[None]:
    # The whole server shares the names, which have at most 64 characters
    digest = hashlib.sha256(f"{server.database}/{pipeline}/{what}".encode()).hexdigest()[:16]
    name = f"graftline.{pipeline[:24]}.{what}.{digest}"
    try:
        lock = _NamedLock(server, name)
    except pymysql.Error as error:
        raise UserError(f"The metadata server cannot be reached ({error}): check the section `metadata`.") from None
    with contextlib.closing(lock):
        try:
            had = lock.acquire(0)
            if not had and seconds:
                console.line(
                    f"Another run of {pipeline} holds the lock {name} of the metadata server: waiting for it to end."
                )
                had = lock.acquire(seconds)
        except pymysql.Error as error:
            raise UserError(f"The metadata server did not grant the lock {name} ({error}): run again.") from None
        if not had:
            raise HeldError(
                f"Another run of {pipeline} held the lock {name} for {seconds / 60:g} minutes: wait for it to end, or raise "
                "cluster.resources.minutes."
            )
        with stop.heeding(lock.check):
            yield
