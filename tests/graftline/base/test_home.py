"""A user who is in no password file and has no home folder can run and push."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from graftline.base import home
from graftline.base.paths import PROJECT

# What a run imports, and what a push calls
PUSH = """
import sys
from pathlib import Path
import components.pusher.executor, components.report.component, pipeline
from graftline.base.paths import absolute
from graftline.serving import pushes, versions
assert Path.home().is_dir() and absolute(Path("~")) == Path.home()
print(versions.publish(Path(sys.argv[1]), Path(sys.argv[2])).who)
"""
NAMES = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME")


@pytest.fixture
def nobody(tmp_path: Path) -> list[str]:
    """The start of a command that runs it as such a user, who may read everything, as in a container image."""
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("needs root and setpriv")
    rights = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    return ["setpriv", "--reuid", "4242", "--regid", "4242", "--clear-groups", *rights]


@pytest.mark.parametrize("given", [{}, {"HOME": "/"}], ids=["no HOME", "HOME=/"])
def test_a_user_without_a_name_or_a_home_can_push(nobody, tmp_path, given):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_bytes(b"a model")
    with tempfile.TemporaryDirectory() as served:
        Path(served).chmod(0o777)
        done = subprocess.run(
            [*nobody, sys.executable, "-c", PUSH, str(tmp_path / "model"), f"{served}/pets"],
            cwd=PROJECT,
            env={name: value for name, value in os.environ.items() if name not in NAMES} | given,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "4242\n"), done.stderr


def test_a_home_that_is_known_stays(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    home.ensure()
    assert Path.home() == tmp_path


def test_a_folder_of_somebody_else_is_not_taken_for_ones_own(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    own = home.own_folder()
    assert own and own.parent == tmp_path and own.stat().st_mode & 0o777 == 0o700
    assert home.own_folder() == own
    own.rmdir()
    own.symlink_to(tmp_path / "theirs")
    (tmp_path / "theirs").mkdir()
    assert home.own_folder() is None
    own.unlink()
    own.mkdir()
    monkeypatch.setattr("os.getuid", lambda: 4242)
    own.rename(tmp_path / "graftline-4242")  # root's own
    assert home.own_folder() is None
