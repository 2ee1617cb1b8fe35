"""What a machine must be and have, whatever runs on it."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bootstrap
from graftline.doctor import BAD, GOOD, SET_UP, WARNING, Finding
from graftline.doctor.probe import Probe

GPU_LOCK = bootstrap.ROOT / "kubeflow/image/gpu.lock"
GPU_PACKAGES = f".venv/bin/uv pip install --python .venv/bin/python --no-deps -r {GPU_LOCK.relative_to(bootstrap.ROOT)}"
MEMORY = 4e9  # bytes: the check of serving took 3.4 GB in a run of cats_vs_dogs, more than any other component


def check_python() -> Iterator[Finding]:
    """TFX and the lock are for one version of Python."""
    right = platform.python_version().startswith(f"{bootstrap.PYTHON}.")
    yield Finding(
        GOOD if right else BAD, "Python", f"{platform.python_version()} in {sys.prefix}", "" if right else SET_UP
    )


def check_c_library() -> Iterator[Finding]:
    """TFX's compiled parts need a newer one than older systems have."""
    try:
        bootstrap.check_platform(platform.system(), platform.machine(), platform.libc_ver()[0])
    except bootstrap.SetupError as error:
        yield Finding(BAD, "system", f"{platform.system()} {platform.machine()}", str(error).rstrip("."))
        return
    if sys.platform != "linux":
        yield Finding(GOOD, "system", f"{platform.system()} {platform.machine()}")
        return
    private = str(bootstrap.RUNTIME) in Path("/proc/self/maps").read_text()
    version = f"glibc {platform.libc_ver()[1]}{', private, in .setup/runtime' if private else ''}"
    if bootstrap.glibc_version() >= bootstrap.GLIBC_NEEDED:
        yield Finding(GOOD, "C library", version)
    else:
        needed = ".".join(map(str, bootstrap.GLIBC_NEEDED))
        yield Finding(BAD, "C library", f"{version}, but TFX needs {needed}", SET_UP)


def check_packages() -> Iterator[Finding]:
    """The environment holds what the lock file pins."""
    from importlib import metadata

    from packaging.utils import canonicalize_name

    there = {canonicalize_name(one.metadata["Name"]): one.version for one in metadata.distributions()}
    pinned = _pinned()
    wrong = [
        f"{name} {there.get(canonicalize_name(name), 'is missing')}, not {version}"
        for name, version in pinned.items()
        if there.get(canonicalize_name(name)) != version
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        cure = "`rm -f .venv/.ready && make run` installs what the lock file says"
        yield Finding(BAD, "packages", f"not those of requirements.lock: {'; '.join(wrong[:3])}{more}", cure)
    else:
        yield Finding(GOOD, "packages", f"the {len(pinned)} of requirements.lock")


def _pinned() -> dict[str, str]:
    """Returns the versions that the lock file pins on a machine such as this one."""
    from packaging.requirements import Requirement

    lines = [line.rstrip(" \\") for line in bootstrap.LOCK.read_text().splitlines() if re.match(r"[a-zA-Z0-9]", line)]
    requirements = [Requirement(line) for line in lines]
    here = [one for one in requirements if one.marker is None or one.marker.evaluate()]
    return {one.name: str(one.specifier).lstrip("=") for one in here}


def check_processor() -> Iterator[Finding]:
    """TensorFlow's wheels need AVX; Macs' have wheels of their own."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    path = Path("/proc/cpuinfo")
    listed = re.search(r"^flags\s*:(.*)$", path.read_text(), re.MULTILINE) if path.is_file() else None
    flags = listed[1].split() if listed else []
    if listed and "avx" not in flags:
        yield Finding(BAD, "processor", f"{cores} cores without AVX", "use a machine whose processor has AVX")
        return
    kinds = [name for flag, name in (("avx2", "AVX2"), ("avx512f", "AVX512")) if flag in flags]
    yield Finding(GOOD, "processor", ", ".join([f"{cores} cores", *kinds[-1:]]))


def check_memory() -> Iterator[Finding]:
    """What components take at most, see docs/performance.md."""
    import psutil

    memory = psutil.virtual_memory()
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    total = memory.total if allowed == "max" else min(memory.total, int(allowed))
    value = f"{min(memory.available, total) / 1e9:.1f} of {total / 1e9:.1f} GB available"
    if total < MEMORY:
        yield Finding(BAD, "memory", value, f"use a machine with {MEMORY / 1e9:g} GB or more")
    elif memory.available < MEMORY:
        yield Finding(WARNING, "memory", value, f"end other programs: a component takes up to {MEMORY / 1e9:g} GB")
    else:
        yield Finding(GOOD, "memory", value)


def check_tools() -> Iterator[Finding]:
    """What some tests need, and nothing else does."""
    for program, why in (("chromium", "look at pages"), ("podman", "run the cluster's pipeline, `make test-kubeflow`")):
        path = shutil.which(program)
        cure = "" if path else f"nothing, unless you run the tests that {why}: then install it"
        yield Finding(GOOD if path else WARNING, program, path or "is not installed", cure)


def check_tensorflow(probe: Probe) -> Iterator[Finding]:
    """TensorFlow can be imported, and sees the GPUs that the driver sees."""
    found = probe.answer("tensorflow")
    yield Finding(GOOD, "TensorFlow", found["version"])
    gpus = _gpus()
    if len(found["gpus"]) >= len(gpus):
        yield Finding(GOOD, "GPU", ", ".join(gpus) or "none: training runs on the processor")
        return
    value = f"the driver sees {len(gpus)} ({', '.join(gpus)}), TensorFlow {len(found['gpus'])}"
    yield Finding(WARNING, "GPU", *_why_no_gpu(value, probe.log))


def _gpus() -> list[str]:
    """Returns the GPUs that NVIDIA's driver sees."""
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    return re.findall(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", done.stdout, re.MULTILINE)


def _why_no_gpu(value: str, log: str) -> tuple[str, str]:
    """Returns what was found and the cure, where TensorFlow sees fewer GPUs than the driver."""
    from importlib import metadata

    names = re.findall(r"^(nvidia-[\w-]+)==", GPU_LOCK.read_text(), re.MULTILINE)
    there = {one.metadata["Name"].lower().replace("_", "-") for one in metadata.distributions()}
    missing = [name for name in names if name not in there]
    if missing:
        return f"{value}: {len(missing)} of its {len(names)} libraries are not installed", f"`{GPU_PACKAGES}`"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "unset") in ("", "-1"):
        return f"{value}: CUDA_VISIBLE_DEVICES hides them", "`unset CUDA_VISIBLE_DEVICES`"
    told = [line for line in log.splitlines() if re.search("cuda|gpu|cudnn", line, re.IGNORECASE)]
    return (
        f"{value}: {told[-1] if told else 'it does not say why'}",
        "update the driver to one for the CUDA of the libraries",
    )


def check_arithmetic(probe: Probe) -> Iterator[Finding]:
    """What training multiplies in on a processor."""
    yield Finding(
        GOOD, "bfloat16", "yes, and training uses it" if probe.answer("bfloat16") else "no: training is slower"
    )
