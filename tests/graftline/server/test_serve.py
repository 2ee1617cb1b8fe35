"""The program behind `graftline serve`: a real process, asked from many sides at once, that ends when it is told to."""

import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from graftline.base.paths import PROJECT
from tests import tiny


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pushed model of digits."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(tiny.export(folder, ["0", "1"]), folder / "serving/digits/7")
    return folder


def start(root: Path, *arguments: str) -> subprocess.Popen:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "graftline.cli", "serve", "-d", "digits", *arguments],
        cwd=PROJECT,
        env=clean | {"GRAFTLINE_RUN__SERVING_DIR": str(root / "serving")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def post(address: str, body: bytes) -> tuple[int, dict]:
    with contextlib.closing(http.client.HTTPConnection(address)) as connection:
        connection.request("POST", "/v1/models/digits:predict", body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.fixture
def process(root: Path) -> Iterator[subprocess.Popen]:
    with start(root, "--port", "0") as process:
        yield process
        process.kill()


def test_it_answers_many_at_once_and_ends_cleanly(process):
    address = process.stdout.readline().split("/")[2]
    bodies = [
        json.dumps({"signature_name": "serving_bytes", "instances": [{"b64": base64.b64encode(image).decode()}]})
        for image in (tiny.photo(0), b"no image", tiny.photo(2))
    ]

    def ask(number: int) -> tuple[int, dict]:
        return post(address, bodies[number % 3].encode())

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(60)))
    assert [status for status, _ in answers] == [200, 400, 200] * 20
    for number in (0, 2):
        probabilities = [answer["predictions"][0]["probabilities"][0] for _, answer in answers[number::3]]
        assert max(probabilities) - min(probabilities) < 1e-5, "each gets its own answer"
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout.read().endswith("Stopped.\n")
    assert "Traceback" not in process.stderr.read()


def test_a_body_over_the_limit_is_answered_over_a_real_connection(process):
    status, answer = post(process.stdout.readline().split("/")[2], b"x" * 20_000_000)
    assert status == 413
    assert "longer than 16 MB" in answer["error"]


def test_where_nothing_is_pushed_or_the_port_is_taken_the_cure_is_told(root, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for folder, told in (
            (tmp_path, "There is no model in"),
            (root, f"Port {port} cannot be used (Address already"),
        ):
            with start(folder, "--port", str(port)) as process:
                _, errors = process.communicate()
            assert process.returncode == 1
            assert errors.startswith(f"Data: digits (as given)\n{told}")
            assert "give " in errors
            assert len(errors.splitlines()) == 2
