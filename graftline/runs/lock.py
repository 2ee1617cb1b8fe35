"""Locks that a run holds against others, and that are free again when their holder ends, however it ends.

On one machine a lock is a file's, which the system frees with the process. Where machines share a metadata server it is one
of that server's named locks, which are free when the connection is gone: what a file lock on a shared volume is worth
depends on the volume.
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

RUN, PUSHES = "run", "pushes"  # what a pipeline has a lock for
PUSH_SECONDS = 600  # that a push, which takes seconds, is waited for
HEARTBEAT_SECONDS = 10.0
TIMEOUT_SECONDS = 15  # of a question to the server
SILENT_SECONDS = 60  # after which the server ends a connection: more than a heartbeat and its answer may take
ASK_SECONDS = 5  # that the server is waited for at once, so that Ctrl-C is heeded


class HeldError(UserError):
    """Another process holds the lock."""


@contextlib.contextmanager
def held(settings: Settings, what: str, seconds: float = 0) -> Iterator[None]:
    """Holds a lock of a pipeline.

    Inside, `stop.heed` stops a process that has lost it: what is to be published is preceded by that.

    Args:
      settings: those of the pipeline.
      what: RUN or PUSHES.
      seconds: how long it is waited for where another process holds it.

    Raises:
      HeldError: where another still holds it then.
      UserError: where the metadata server cannot be asked.
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
        console.line(f"{_who(settings, what)}: waiting for its end.")
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        raise HeldError(
            f"{_who(settings, what)}: wait for its end, or let this run wait with `graftline run --wait <minutes>`."
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
    """Returns the process of this machine that holds a lock, as far as this user may see it; None where there is none.

    Args:
      settings: those of the pipeline.
      what: RUN or PUSHES.
    """
    path, found = str(_path(settings, what).resolve()), []
    for process in psutil.process_iter():
        try:
            if any(file.path == path for file in process.open_files()):
                found.append((process.create_time(), process.pid, process))
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return min(found)[-1] if found else None  # those that it has forked hold the lock too


class _NamedLock:
    """A lock of a MySQL or MariaDB server, with a heartbeat that tells when it is lost.

    Args:
      server: the metadata server.
      name: what the server knows it by.
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
        """Returns whether the lock could be had within this time."""
        until = time.monotonic() + seconds
        while not self._ask("SELECT GET_LOCK(%s, %s)", self._name, min(ASK_SECONDS, max(0, until - time.monotonic()))):
            stop.heed()
            if time.monotonic() >= until:
                return False
        self._heart.start()
        return True

    def check(self) -> None:
        """Makes sure that the lock is still held.

        Raises:
          UserError: where it is not, or the server does not say so.
        """
        try:
            if not self._lost and not self._ask("SELECT IS_USED_LOCK(%s) = CONNECTION_ID()", self._name):
                self._lost = "the server has freed it"
        except (pymysql.Error, OSError) as error:
            self._lost = str(error)
        if self._lost:
            raise UserError(
                f"The lock {self._name} of the metadata server was lost ({self._lost}), and another run may have it: "
                "nothing was published; run again."
            )

    def _beat(self) -> None:
        while not self._end.wait(HEARTBEAT_SECONDS):
            try:
                self.check()
            except UserError:
                return  # who holds it is told by its own question

    def close(self) -> None:
        """Frees the lock."""
        self._end.set()
        with contextlib.suppress(pymysql.Error, OSError):
            self._connection.close()


@contextlib.contextmanager
def _named(server: Mysql, pipeline: str, what: str, seconds: float) -> Iterator[None]:
    # Names are the whole server's, and have 64 characters at most
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
                    f"Another run of {pipeline} holds the lock {name} of the metadata server: waiting for its end."
                )
                had = lock.acquire(seconds)
        except pymysql.Error as error:
            raise UserError(f"The metadata server did not give the lock {name} ({error}): run again.") from None
        if not had:
            raise HeldError(
                f"Another run of {pipeline} held the lock {name} for {seconds / 60:g} minutes: wait for its end, or raise "
                "cluster.resources.minutes."
            )
        with stop.heeding(lock.check):
            yield
