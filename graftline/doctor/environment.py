"""Checks of what set-up makes or, if Graftline was installed from a wheel, of its requirements."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from graftline.base.paths import IS_CHECKOUT
from graftline.doctor import BAD, GOOD, SET_UP, Finding

if IS_CHECKOUT:
    import bootstrap


def check_python() -> Iterator[Finding]:
    """Checks the version of Python, because TFX and the lock file are for one version."""
    right = platform.python_version().startswith(f"{bootstrap.PYTHON}.")
    yield Finding(
        GOOD if right else BAD, "Python", f"{platform.python_version()} in {sys.prefix}", "" if right else SET_UP
    )


def check_c_library() -> Iterator[Finding]:
    """Checks the C library, because TFX's compiled parts need a newer one than older systems have."""
    try:
        bootstrap.check_platform(platform.system(), platform.machine(), platform.libc_ver()[0])
    except bootstrap.SetupError as error:
        yield Finding(BAD, "system", f"{platform.system()} {platform.machine()}", str(error).rstrip("."))
        return
    if sys.platform != "linux":
        yield Finding(GOOD, "system", f"{platform.system()} {platform.machine()}")
        return
    private = str(bootstrap.RUNTIME) in Path("/proc/self/maps").read_text()
    version = f"glibc {platform.libc_ver()[1]}{' (private, in .setup/runtime)' if private else ''}"
    if bootstrap.glibc_version() >= bootstrap.GLIBC_NEEDED:
        yield Finding(GOOD, "C library", version)
    else:
        needed = ".".join(map(str, bootstrap.GLIBC_NEEDED))
        yield Finding(BAD, "C library", f"{version}, but TFX needs {needed}", SET_UP)


def check_packages() -> Iterator[Finding]:
    """Checks that the environment contains what the lock file pins."""
    from importlib import metadata

    from packaging.utils import canonicalize_name

    there = {canonicalize_name(one.metadata["Name"]): one.version for one in metadata.distributions()}
    pinned = _pinned()
    wrong = [
        f"{name} {there.get(canonicalize_name(name), 'is missing')} (should be {version})"
        for name, version in pinned.items()
        if there.get(canonicalize_name(name)) != version
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        cure = "run `rm -f .venv/.ready && make run` to install what the lock file pins"
        yield Finding(BAD, "packages", f"versions differ from requirements.lock: {'; '.join(wrong[:3])}{more}", cure)
    else:
        yield Finding(GOOD, "packages", f"all {len(pinned)} in requirements.lock")


def _pinned() -> dict[str, str]:
    """Returns the versions that the lock file pins for a machine like this one."""
    from packaging.requirements import Requirement

    lines = [line.rstrip(" \\") for line in bootstrap.LOCK.read_text().splitlines() if re.match(r"[a-zA-Z0-9]", line)]
    requirements = [Requirement(line) for line in lines]
    here = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    return {one.name: str(one.specifier).lstrip("=") for one in here}


def check_requirements() -> Iterator[Finding]:
    """Checks that the environment contains what the wheel requires."""
    from importlib import metadata

    from packaging.requirements import Requirement

    required = [Requirement(line) for line in metadata.requires("graftline") or ()]
    there = {one.name: _installed(one.name) for one in required if not one.marker or one.marker.evaluate({"extra": ""})}
    wrong = [
        f"{one} ({there[one.name] or 'is missing'})"
        for one in required
        if one.name in there and not (there[one.name] and one.specifier.contains(there[one.name]))
    ]
    if wrong:
        yield Finding(BAD, "packages", f"versions do not meet Graftline's requirements: {'; '.join(wrong)}", SET_UP)
    else:
        yield Finding(GOOD, "packages", f"all {len(there)} that Graftline {metadata.version('graftline')} requires")


def _installed(name: str) -> str:
    """Returns a distribution's version; empty if it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


CHECKS = (check_python, check_c_library, check_packages) if IS_CHECKOUT else (check_requirements,)
