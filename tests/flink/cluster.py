"""A Flink cluster on this machine: a job manager and two task managers, with Beam's workers as processes next to them.

It can only be reached from this machine. What it needs is fetched once, into output/flink: Flink's own jars come with its
Python package, Beam's job server from Maven Central.
"""

import contextlib
import importlib.metadata
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from graftline.base.paths import PROJECT

FLINK = "2.2.1"
BEAM = importlib.metadata.version("apache-beam")
FOLDER = PROJECT / "output/flink"
JARS = FOLDER / f"flink-{FLINK}/pyflink/lib"
JOB_SERVER = FOLDER / f"beam-runners-flink-{FLINK.rpartition('.')[0]}-job-server-{BEAM}.jar"

LOOPBACK = "127.0.0.1"
SLOTS = 2  # of each task manager, so that one can run what both did
PATIENCE = 120  # seconds
JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
# Java packages that Flink looks into, and that Java 17 has closed
OPENED = [
    "java.io", "java.lang", "java.lang.reflect", "java.net", "java.nio", "java.text", "java.time", "java.util",
    "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.nio.ch",
]  # fmt: skip
CONFIGURATION = {
    "jobmanager.rpc.address": LOOPBACK,
    "jobmanager.bind-host": LOOPBACK,
    "rest.address": LOOPBACK,
    "rest.bind-address": LOOPBACK,
    "taskmanager.host": LOOPBACK,
    "taskmanager.bind-host": LOOPBACK,
    "taskmanager.numberOfTaskSlots": SLOTS,
    "taskmanager.load-balance.mode": "SLOTS",  # both task managers get part of each job
    "taskmanager.cpu.cores": 1,
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 5,
    "restart-strategy.fixed-delay.delay": "1 s",
    "heartbeat.interval": "1 s",
    "heartbeat.timeout": "10 s",
}
# Memory of a task manager, in megabytes: every part is given, because Flink's scripts, which compute them, are missing
MEMORY = {
    "framework.heap.size": 128,
    "framework.off-heap.size": 128,
    "task.heap.size": 384,
    "task.off-heap.size": 0,
    "managed.size": 256,
    "network.min": 64,
    "network.max": 64,
    "jvm-metaspace.size": 256,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
}


def fetch() -> None:
    """Fetches what is missing; skips the test if there is no Java or Maven, or Maven cannot fetch the job server."""
    if not shutil.which("java"):
        pytest.skip("needs Java, which is not installed")
    if not JOB_SERVER.is_file():
        _fetch_job_server()
    if not JARS.is_dir():
        uv, target = PROJECT / ".setup/tools/bin/uv", JARS.parents[1]
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--target", target, f"apache-flink-libraries=={FLINK}"]
        subprocess.run([str(part) for part in command], check=True)


def _fetch_job_server() -> None:
    if not shutil.which("mvn"):
        pytest.skip("needs Maven, which is not installed")
    artifact = f"org.apache.beam:{JOB_SERVER.stem.removesuffix(f'-{BEAM}')}:{BEAM}"
    copy = ["dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={FOLDER}"]
    done = subprocess.run(["mvn", "--batch-mode", *copy], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        pytest.skip(f"needs {artifact}, which Maven cannot fetch here: put {JOB_SERVER.name} into {FOLDER} by hand")


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return found.getsockname()[1]


def awaited(what: str, found: Callable[[], Any]) -> Any:
    """Calls a function until it finds something, and returns that."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"waited {PATIENCE} s for {what}")


@contextmanager
def started(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in the project's folder with the project's Python; at the end, kills it and all that it started."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env=os.environ | {"PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):  # it was killed on purpose
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Pool(NamedTuple):
    """A process that starts Beam's workers.

    Attributes:
      address: where it listens.
      process: the process; all that it starts are in its session.
    """

    address: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kills it and its workers, as if the machine were gone."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def worker_pool(log: Path) -> Iterator[Pool]:
    """Starts the process that starts Beam's workers."""
    port = free_port()
    with started([sys.executable, "-m", "tests.flink.worker_pool", str(port)], log) as process:
        awaited("the worker pool", lambda: _listens(port))
        yield Pool(f"{LOOPBACK}:{port}", process)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


class Cluster:
    """A running cluster.

    Args:
      port: of the job manager's REST interface.
      task_managers: their processes, by their names in the cluster.
    """

    def __init__(self, port: int, task_managers: dict[str, subprocess.Popen[bytes]]) -> None:
        self.master = f"{LOOPBACK}:{port}"
        self._task_managers = task_managers

    def get(self, path: str) -> Any:
        """Returns what the job manager answers; `{}` if it does not answer yet."""
        try:
            with urllib.request.urlopen(f"http://{self.master}/{path}") as answer:
                return json.load(answer)
        except OSError:
            return {}

    def jobs(self) -> list[dict[str, Any]]:
        """Returns the jobs so far, including those that ended."""
        return self.get("jobs/overview").get("jobs", [])

    def task_managers(self) -> list[dict[str, Any]]:
        """Returns the task managers that the job manager counts on."""
        return self.get("taskmanagers").get("taskmanagers", [])

    def restarts(self, job: str) -> int:
        """Returns how often a job lost a part and was restarted."""
        return len(self.get(f"jobs/{job}/exceptions")["exceptionHistory"]["entries"])

    def kill_a_busy_task_manager(self) -> str:
        """Waits for a job that is partly done and kills a task manager that works on it; returns the job's id."""
        job, name = awaited("a job that is partly done", self._partly_done)
        self._task_managers[name].kill()
        return job

    def _partly_done(self) -> tuple[str, str] | None:
        jobs = [job["jid"] for job in self.jobs() if job["tasks"]["finished"] and job["tasks"]["running"]]
        busy = [manager["id"] for manager in self.task_managers() if manager["freeSlots"] < manager["slotsNumber"]]
        return (jobs[0], busy[-1]) if jobs and busy else None


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Starts a cluster of two task managers, and stops it.

    Args:
      folder: an empty one, for its configuration, its logs and its temporary files.
    """
    port = free_port()
    values = {"jobmanager.rpc.port": free_port(), "rest.port": port, "io.tmp.dirs": str(folder)} | CONFIGURATION
    values |= {f"taskmanager.memory.{part}": f"{size}m" for part, size in MEMORY.items()}
    (folder / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    names = ("task-manager-1", "task-manager-2")
    with started(_java(folder, JOB_MANAGER), folder / "job-manager.log"):
        first, second = (_java(folder, TASK_MANAGER, "-D", f"taskmanager.resource-id={name}") for name in names)
        with started(first, folder / f"{names[0]}.log") as one, started(second, folder / f"{names[1]}.log") as other:
            cluster = Cluster(port, dict(zip(names, (one, other), strict=True)))
            awaited(
                "all slots", lambda: sum(one["slotsNumber"] for one in cluster.task_managers()) == len(names) * SLOTS
            )
            yield cluster


def _java(folder: Path, program: str, *arguments: str) -> list[str]:
    opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    options = ["-Xmx512m", "-XX:MaxMetaspaceSize=256m", "-Dlog4j2.level=INFO", *opened]
    return ["java", *options, "-classpath", f"{JARS}/*", program, "--configDir", str(folder), *arguments]
