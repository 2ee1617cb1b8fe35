"""Checks of the machine, which do not depend on the configuration."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from graftline.base.paths import PROJECT
from graftline.doctor import BAD, GOOD, WARNING, Finding
from graftline.doctor.probe import Probe

GPU_LOCK = PROJECT / "kubeflow/image/gpu.lock"
GPU_PACKAGES = f".venv/bin/uv pip install --python .venv/bin/python --no-deps -r {GPU_LOCK.relative_to(PROJECT)}"
MEMORY = 4e9  # bytes: the check of serving took 3.4 GB in a run of cats_vs_dogs, more than any other component


def check_processor() -> Iterator[Finding]:
    """Checks for AVX, which TensorFlow's wheels need, except those for Macs."""
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
    """Checks that there is enough memory for the largest component; see docs/explanation/performance.md."""
    import psutil

    memory = psutil.virtual_memory()
    limit = Path("/sys/fs/cgroup/memory.max")
    allowed = limit.read_text().strip() if limit.is_file() else "max"
    total = memory.total if allowed == "max" else min(memory.total, int(allowed))
    value = f"{min(memory.available, total) / 1e9:.1f} of {total / 1e9:.1f} GB available"
    if total < MEMORY:
        yield Finding(BAD, "memory", value, f"use a machine with {MEMORY / 1e9:g} GB or more")
    elif memory.available < MEMORY:
        yield Finding(WARNING, "memory", value, f"close other programs: a component takes up to {MEMORY / 1e9:g} GB")
    else:
        yield Finding(GOOD, "memory", value)


def check_tools() -> Iterator[Finding]:
    """Checks for programs that only some tests need."""
    for program, why in (("chromium", "look at web pages"), ("podman", "run containers, such as `make test-kubeflow`")):
        path = shutil.which(program)
        cure = "" if path else f"install it only if you run the tests that {why}"
        yield Finding(GOOD if path else WARNING, program, path or "is not installed", cure)


def check_tensorflow(probe: Probe) -> Iterator[Finding]:
    """Checks that TensorFlow can be imported and sees all GPUs that the driver sees."""
    found = probe.answer("tensorflow")
    yield Finding(GOOD, "TensorFlow", found["version"])
    gpus = _gpus()
    if len(found["gpus"]) >= len(gpus):
        yield Finding(GOOD, "GPU", ", ".join(gpus) or "none: training runs on the processor")
        return
    value = f"the driver sees {len(gpus)} ({', '.join(gpus)}), TensorFlow sees {len(found['gpus'])}"
    yield Finding(WARNING, "GPU", *_why_no_gpu(value, probe.log))


def _gpus() -> list[str]:
    """Returns the GPUs that NVIDIA's driver sees."""
    if not shutil.which("nvidia-smi"):
        return []
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=False)
    return re.findall(r"^GPU \d+: (.*?)(?: \(UUID.*)?$", done.stdout, re.MULTILINE)


def _why_no_gpu(value: str, log: str) -> tuple[str, str]:
    """Returns what was found and the fix, if TensorFlow sees fewer GPUs than the driver."""
    from importlib import metadata

    lock = GPU_LOCK.read_text() if GPU_LOCK.is_file() else ""  # a wheel has none
    names = re.findall(r"^(nvidia-[\w-]+)==", lock, re.MULTILINE)
    there = {one.metadata["Name"].lower().replace("_", "-") for one in metadata.distributions()}
    missing = [name for name in names if name not in there]
    if missing:
        return f"{value}: {len(missing)} of its {len(names)} libraries are not installed", f"run `{GPU_PACKAGES}`"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "unset") in ("", "-1"):
        return f"{value}: CUDA_VISIBLE_DEVICES hides them", "run `unset CUDA_VISIBLE_DEVICES`"
    told = [line for line in log.splitlines() if re.search("cuda|gpu|cudnn", line, re.IGNORECASE)]
    return (
        f"{value}: {told[-1] if told else 'TensorFlow does not say why'}",
        "update the driver to one that supports the CUDA version of the libraries",
    )


def check_arithmetic(probe: Probe) -> Iterator[Finding]:
    """Reports whether the processor can multiply in bfloat16, which speeds up training."""
    yield Finding(
        GOOD,
        "bfloat16",
        "supported: training uses it" if probe.answer("bfloat16") else "not supported: training is slower",
    )
