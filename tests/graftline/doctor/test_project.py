"""The doctor finds what runs left behind and what a configuration lacks, and how to fix it."""

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from graftline.base.paths import PROJECT
from graftline.doctor import BAD, GOOD, WARNING, project
from graftline.runs import store
from tests.disks import tmpfs
from tests.graftline.doctor.test_machine import Answers, one
from tests.past import Made, settings_of, write


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


HOLD = """
import sys
import time
from graftline.runs import lock
from graftline.settings.settings import Settings
with lock.held(Settings.model_validate_json(sys.argv[1]), lock.RUN):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(settings):
    """A process that holds the lock of the pipeline's runs."""
    command = [sys.executable, "-c", HOLD, settings.model_dump_json()]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_that_is_free_is_well(settings):
    assert one(project.check_lock(settings)).mark == GOOD


def test_who_holds_the_lock_is_told(settings, holder):
    found = one(project.check_lock(settings))
    assert found.mark == WARNING
    assert f"process {holder.pid} (" in found.value


def test_a_stopped_process_that_holds_the_lock_is_a_fault(settings, holder):
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
    found = one(project.check_lock(settings))
    assert (found.mark, found.cure) == (BAD, f"`kill -CONT {holder.pid}` resumes it, `kill -9 {holder.pid}` ends it")


def test_no_store_yet_is_well(settings):
    assert one(project.check_store(settings)).mark == GOOD
    assert not settings.metadata_path.exists()


def test_a_node_that_was_killed_is_told(settings):
    write(settings, "a", Made("TfdsExampleGen"), Made("Trainer", state=store.RUNNING))
    found = one(project.check_store(settings))
    assert (found.mark, found.value) == (WARNING, "runs of digits: 1; still marked as running: Trainer of run 1")


def test_a_node_that_is_running_is_well(settings, holder):
    write(settings, "a", Made("Trainer", state=store.RUNNING))
    assert one(project.check_store(settings)).mark == GOOD


@pytest.mark.parametrize("place", [0, 2], ids=["header", "middle"])
def test_a_damaged_store_is_told(settings, place):
    write(settings, "a", Made("Trainer"))
    contents = bytearray(settings.metadata_path.read_bytes())
    start = place * len(contents) // 4
    contents[start : start + 8192] = b"x" * 8192
    settings.metadata_path.write_bytes(contents)
    found = one(project.check_store(settings))
    assert found.mark == BAD
    assert f"{settings.metadata_path} is damaged" in found.value
    assert "restore a copy of it" in found.cure


def test_a_server_that_does_not_answer_is_told(tmp_path):
    found = one(project.check_store(settings_of(tmp_path, metadata={"host": "127.0.0.1", "port": 1})))
    assert found.mark == BAD
    assert "127.0.0.1:1 cannot be reached" in found.value


def test_what_killed_processes_left_is_counted(settings):
    (settings.work_dir / "features/a/train_plain/00000.tmp").mkdir(parents=True)
    (settings.work_dir / "features/a/train_plain/00000.tmp/label.npy").write_bytes(b"x" * 1_000_000)
    (settings.push_dir / ".aside-x/model").mkdir(parents=True)
    (settings.push_dir / ".aside-x/model/saved_model.pb").write_bytes(b"x" * 500_000)
    found = one(project.check_left_overs(settings))
    assert found.mark == WARNING
    assert found.value.startswith("2, 1.5 MB: ")
    assert "00000.tmp" in found.value


def test_half_written_files_of_a_run_that_goes_on_are_not_leftovers(settings, holder):
    (settings.work_dir / "features/a/train_plain/00000.tmp").mkdir(parents=True)
    assert not list(project.check_left_overs(settings))


def test_a_disk_too_small_for_a_run_is_told(tmp_path):
    with tmpfs(tmp_path, "20m"):
        root, *_ = project.check_disk(settings_of(tmp_path), Answers(writes=5e9))
    assert root.mark == BAD
    assert f"0.0 GB free in {tmp_path}" in root.value
    assert root.cure == "free some space, or set run.root to another disk: a run writes up to 6.0 GB"


def test_weights_that_are_not_there_are_fetched_by_a_command(tmp_path, monkeypatch):
    monkeypatch.setattr("graftline.network.weights.FOLDER", tmp_path)
    found = one(project.check_weights(settings_of(tmp_path, model={"image_size": 96})))
    assert found.mark == WARNING
    assert "`graftline weights`" in found.cure


class Handler(BaseHTTPRequestHandler):
    """A server that has one file."""

    def do_HEAD(self) -> None:
        self.send_response(200 if self.path == "/pets.zip" else 404)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def host():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def look_at(settings, *urls: str, images: int = 0):
    return one(
        project.check_dataset(
            settings, Answers(dataset={"images": images, "bytes": 0, "urls": list(urls), "left_out": {}})
        )
    )


def test_a_dataset_that_is_there_needs_no_network(settings):
    assert look_at(settings, images=1797).value == "digits, 1,797 images"


def test_a_dataset_that_can_be_downloaded_is_well(settings, host):
    found = look_at(settings, f"http://{host}/pets.zip")
    assert (found.mark, found.value) == (GOOD, f"digits does not exist yet, but can be downloaded from {host}")


@pytest.mark.parametrize(("address", "reason"), [("/gone.zip", "status 404"), (None, "ConnectionError")])
def test_a_dataset_that_cannot_be_downloaded_is_a_fault(settings, host, address, reason):
    found = look_at(settings, f"http://{host}{address}" if address else "http://127.0.0.1:1/pets.zip")
    assert found.mark == BAD
    assert f"({reason})" in found.value
    assert "`graftline data <zip>`" in found.cure
