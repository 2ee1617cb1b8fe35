"""Output can be printed with any encoding."""

import os
import subprocess
import sys

import pytest

from graftline.base.paths import PROJECT

PRINTS = """
from graftline.base import console
from graftline.base.states import State
console.told("Trainer", State.STARTED, 0, 0)
console.told("Trainer", State.DONE, 1, 1)
console.table("Title", ["a", "b"], [["\\u25b6 \\udcff", "1 \\u2192 2"]])
console.side_by_side("Title", ["a", "b"], [("c", "1", "2")])
print("\\u2718 a line of another kind")
"""


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_an_encoding_without_a_sign_is_no_error(encoding):
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", PRINTS], cwd=PROJECT, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Trainer done in 1.0 s" in done.stdout
    assert ("\u25b6".encode() in done.stdout) == (encoding == "utf-8")
