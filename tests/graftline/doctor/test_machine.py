"""The doctor finds what is wrong with a machine, and how to fix it."""

import json
from pathlib import Path

import pytest

import bootstrap
from graftline.doctor import BAD, GOOD, WARNING, environment, machine
from graftline.doctor.probe import Probe


class Answers(Probe):
    """A probe whose process has ended and given these answers."""

    def __init__(self, log: str = "", **answers: object) -> None:
        self._outputs = ("".join(json.dumps({key: {"is": value}}) + "\n" for key, value in answers.items()), log)


def one(findings):
    (found,) = findings
    return found


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Path:
    """The only folder in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def write_nvidia_smi(programs: Path) -> None:
    program = programs / "nvidia-smi"
    program.write_text(
        '#!/bin/sh\necho "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)"\necho "GPU 1: NVIDIA T4 (UUID: GPU-2)"\n'
    )
    program.chmod(0o755)


def test_this_python_is_the_right_one_and_another_is_not(monkeypatch):
    assert one(environment.check_python()).mark == GOOD
    monkeypatch.setattr(bootstrap, "PYTHON", "3.99")
    found = one(environment.check_python())
    assert found.mark == BAD
    assert "make run" in found.cure


def test_a_c_library_that_is_too_old_is_told_with_the_version_that_is_needed(monkeypatch):
    assert one(environment.check_c_library()).mark == GOOD
    monkeypatch.setattr(bootstrap, "GLIBC_NEEDED", (2, 99))
    found = one(environment.check_c_library())
    assert found.mark == BAD
    assert "but TFX needs 2.99" in found.value


def test_packages_that_the_lock_does_not_pin_so_are_named(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# pinned\npytest==0.1 \\\n    --hash=sha256:0\nno-such-package==1.0\nwindows-only==1 ; sys_platform == 'win32'\n"
    )
    monkeypatch.setattr(bootstrap, "LOCK", lock)
    found = one(environment.check_packages())
    assert found.mark == BAD
    assert " (should be 0.1); no-such-package is missing (should be 1.0)" in found.value
    assert "windows-only" not in found.value


def test_too_little_memory_is_told(monkeypatch):
    monkeypatch.setattr(machine, "MEMORY", 1e15)
    found = one(machine.check_memory())
    assert (found.mark, found.what) == (BAD, "memory")


def test_programs_that_tests_need_are_no_must(programs):
    assert {found.mark for found in machine.check_tools()} == {WARNING}


def test_without_a_gpu_all_is_well(programs):
    *_, gpu = machine.check_tensorflow(Answers(tensorflow={"version": "2.21.0", "gpus": []}))
    assert (gpu.mark, gpu.value) == (GOOD, "none: training runs on the processor")


def test_gpus_that_tensorflow_sees_are_named(programs):
    write_nvidia_smi(programs)
    *_, gpu = machine.check_tensorflow(Answers(tensorflow={"version": "2.21.0", "gpus": ["/gpu:0", "/gpu:1"]}))
    assert (gpu.mark, gpu.value) == (GOOD, "NVIDIA H100 80GB HBM3, NVIDIA T4")


def test_where_tensorflow_sees_no_gpu_the_missing_libraries_are_counted(programs):
    write_nvidia_smi(programs)
    *_, gpu = machine.check_tensorflow(Answers(tensorflow={"version": "2.21.0", "gpus": []}))
    assert gpu.mark == WARNING
    assert (
        "the driver sees 2 (NVIDIA H100 80GB HBM3, NVIDIA T4), TensorFlow sees 0: 12 of its 12 libraries" in gpu.value
    )
    assert "-r kubeflow/image/gpu.lock" in gpu.cure


@pytest.fixture
def no_library_missing(programs, tmp_path, monkeypatch):
    write_nvidia_smi(programs)
    empty = tmp_path / "gpu.lock"
    empty.touch()
    monkeypatch.setattr(machine, "GPU_LOCK", empty)


def test_where_gpus_are_hidden_that_is_told(no_library_missing, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    *_, gpu = machine.check_tensorflow(Answers(tensorflow={"version": "2.21.0", "gpus": []}))
    assert gpu.cure == "run `unset CUDA_VISIBLE_DEVICES`"


def test_else_tensorflow_is_quoted(no_library_missing, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    log = "something\nE0000 failed call to cuInit: CUDA_ERROR_NO_DEVICE\nelse\n"
    *_, gpu = machine.check_tensorflow(Answers(log, tensorflow={"version": "2.21.0", "gpus": []}))
    assert "failed call to cuInit: CUDA_ERROR_NO_DEVICE" in gpu.value
