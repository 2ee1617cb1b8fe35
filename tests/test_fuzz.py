"""A short run of the fuzzer; `make fuzz` does a long one."""

import json
import subprocess
import sys

from graftline.base.paths import PROJECT
from graftline.data.decoding import CORRUPT, EMPTY, NOT_AN_IMAGE, TOO_LARGE

IMAGES = 1_000


def test_mutated_photos_neither_crash_nor_hang_nor_take_memory() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--images", str(IMAGES), "--seed", "1"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert sum(found["outcomes"].values()) == IMAGES
    assert set(found["outcomes"]) <= {"decoded", CORRUPT, EMPTY, NOT_AN_IMAGE, TOO_LARGE}
    assert min(found["outcomes"]["decoded"], found["outcomes"][CORRUPT]) > IMAGES / 10
    assert found["slowest_s"] < 5
    assert found["grown_mb"] < 1_000
