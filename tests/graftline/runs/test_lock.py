"""Locks keep others out, between processes too, and are freed when their holder ends or is lost."""

import gc
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest

from graftline.base import stop
from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.runs import lock
from graftline.runs.lock import PUSHES, RUN, HeldError
from graftline.settings.settings import Settings
from tests.kubeflow.machines import PASSWORD, mariadb
from tests.past import settings_of

HOLD = """
import json
import sys
import time
from graftline.base import stop
from graftline.runs import lock
from graftline.settings.settings import Settings
lock.SILENT_SECONDS, lock.HEARTBEAT_SECONDS = 2, 0.2
with lock.held(Settings(**json.loads(sys.argv[1])), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
    stop.heed()
    print("still held", flush=True)
"""
Holding = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def holding() -> Iterator[Holding]:
    """Starts processes that hold a lock until a line is written to them."""
    with ExitStack() as stack:

        def start(settings: Settings, what: str = RUN) -> subprocess.Popen[str]:
            values = settings.model_dump_json(exclude={"metadata": {"password"}})
            if settings.metadata:
                values = values.replace('"metadata":{', f'"metadata":{{"password":"{PASSWORD}",')
            command, pipe = [sys.executable, "-c", HOLD, values, what], subprocess.PIPE
            process = stack.enter_context(
                subprocess.Popen(command, cwd=PROJECT, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            )
            stack.callback(process.kill)
            assert process.stdout and process.stdout.readline() == "held\n", process.communicate()[1]
            return process

        yield start


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[dict[str, str]]:
    """A real MariaDB."""
    if shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is missing: apt-get install mariadb-server-core")
    with mariadb(tmp_path_factory.mktemp("mariadb")) as socket:
        yield {"host": "", "socket": str(socket), "password": PASSWORD}


@pytest.fixture(params=["file", "server"])
def settings(request, tmp_path) -> Settings:
    """Settings of a pipeline whose locks are files, or on a metadata server."""
    metadata = request.getfixturevalue("server") if request.param == "server" else None
    return settings_of(tmp_path, metadata=metadata)


def other(settings: Settings, **changes: str) -> Settings:
    return settings.model_copy(update=changes)


def test_a_lock_keeps_other_processes_out_until_it_is_given_back(settings, holding):
    process = holding(settings)
    with pytest.raises(HeldError), lock.held(settings, RUN):
        pass
    told, _ = process.communicate("go on\n")
    assert told == "still held\n"
    with lock.held(settings, RUN):
        stop.heed()


def test_a_lock_keeps_the_same_process_out_too(settings):
    with lock.held(settings, RUN), pytest.raises(HeldError), lock.held(settings, RUN):
        pass


def test_pipelines_and_pushes_have_locks_of_their_own(settings, holding):
    holding(settings)
    for held in (lock.held(settings, PUSHES), lock.held(other(settings, name="rice"), RUN)):
        with held:
            pass


def test_the_death_of_a_holder_frees_its_lock(settings, holding):
    holding(settings).kill()
    with lock.held(settings, RUN, seconds=20):
        pass


def test_a_lock_is_waited_for_as_long_as_is_asked(settings, holding, capsys):
    process = holding(settings)
    started = time.monotonic()
    with pytest.raises(HeldError), lock.held(settings, RUN, seconds=1.5):
        pass
    assert 1.4 < time.monotonic() - started < 15
    process.send_signal(signal.SIGKILL)


def test_who_holds_a_files_lock_and_since_when_is_told(tmp_path, holding):
    settings = settings_of(tmp_path)
    assert lock.holder(settings) is None
    process = holding(settings)
    assert lock.holder(settings) == psutil.Process(process.pid)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(psutil.Process(process.pid).create_time()))
    told = (
        rf"^Another run of digits in {tmp_path} is running \(process {process.pid}, since {since}\): wait for it to end"
    )
    with pytest.raises(HeldError, match=told), lock.held(settings, RUN):
        pass


def test_two_databases_of_one_server_share_no_lock(tmp_path, server, holding):
    holding(settings_of(tmp_path, metadata=server))
    with lock.held(settings_of(tmp_path, metadata=server, name="digits2"), RUN):
        pass


def test_a_holder_that_did_not_answer_for_long_has_lost_its_lock_and_is_stopped(tmp_path, server, holding):
    settings = settings_of(tmp_path, metadata=server)
    process = holding(settings)
    process.send_signal(signal.SIGSTOP)  # like a machine that hangs
    with lock.held(settings, RUN, seconds=20):
        process.send_signal(signal.SIGCONT)
        told, errors = process.communicate("go on\n")
    assert told == ""
    assert "of the metadata server was lost (" in errors
    assert "nothing was published" in errors


def test_a_long_silence_with_heartbeats_loses_nothing(tmp_path, server, holding):
    process = holding(settings_of(tmp_path, metadata=server))
    time.sleep(3)  # the server closes a connection that is silent for two seconds
    told, errors = process.communicate("go on\n")
    assert told == "still held\n", errors


def test_a_server_that_ends_while_a_lock_is_held_stops_its_holder(tmp_path):
    if shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is missing: apt-get install mariadb-server-core")
    with ExitStack() as stack:
        socket = stack.enter_context(mariadb(tmp_path))
        settings = settings_of(tmp_path, metadata={"host": "", "socket": str(socket), "password": PASSWORD})
        with lock.held(settings, RUN):
            stop.heed()
            stack.close()
            with pytest.raises(UserError, match="was lost"):
                stop.heed()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # PyMySQL leaves the refused socket to the garbage collector
        with pytest.raises(UserError, match="The metadata server cannot be reached"), lock.held(settings, RUN):
            pass
        gc.collect()


def test_a_lock_leaves_no_process_or_file_open(tmp_path):
    before = psutil.Process().num_fds()
    for _ in range(3):
        with lock.held(settings_of(tmp_path), RUN):
            pass
    assert psutil.Process().num_fds() == before
    assert [path.name for path in (tmp_path / "locks").iterdir()] == ["digits.run.lock"]
