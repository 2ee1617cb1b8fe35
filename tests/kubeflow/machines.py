"""What a cluster gives a test: containers, and a database for their metadata."""

import contextlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from graftline.base.paths import PROJECT
from tests.kubeflow.backend import ERROR, FAILED, OUTPUTS, SUCCEEDED, Pod

USER = 1000
PASSWORD = "only for this test"
Watch = Callable[[str, str], None]

# Podman's defaults ask for more than an unprivileged machine may give
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def podman() -> str | None:
    """Returns podman's path; None if it is not installed, or may not run containers here."""
    program = shutil.which("podman")
    if program is None or os.geteuid():
        return None
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*_base(Path(folder)), "run", *ISOLATION, "--network=none", "--rootfs", "/:O", "true"],
            env=_conf(Path(folder)),
            check=False,
        )
    return None if done.returncode else program


def quiet(name: str, line: str) -> None:
    """Watches nothing."""


# As strict as a locked-down cluster: no rights, and only mounts are writable
ISOLATION = [
    "--rm", f"--user={USER}:{USER}", "--cap-drop=all", "--security-opt=no-new-privileges",
    "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,exec,mode=1777,notmpcopyup",
]  # fmt: skip


def _opened(folder: Path) -> list[str]:
    """Returns options that show a folder to another user, even if a folder above it is private, such as root's home."""
    private = next((path for path in reversed(folder.parents) if not path.stat().st_mode & stat.S_IXOTH), None)
    hidden = [f"--tmpfs={private}:mode=755,notmpcopyup"] if private else []
    return [*hidden, f"--volume={folder}:{folder}:ro"]


def _base(folder: Path) -> list[str]:
    return ["podman", f"--root={folder}/store", f"--runroot={folder}/run", "--storage-driver=vfs"]


def _conf(folder: Path) -> dict[str, str]:
    path = folder / "containers.conf"
    path.write_text(CONTAINERS_CONF)
    return os.environ | {"CONTAINERS_CONF": str(path)}


@dataclass
class Pods:
    """Runs the containers of a pipeline on this machine, with its own files as their image.

    Attributes:
      folder: folder of podman's state.
      volume: the folder that all of them share, readable and writable.
      containers: whether podman runs them, as uid 1000; otherwise they are plain processes.
      watch: called with a container's name and each line it prints.
      network: the containers' network; by default, they have none.
      ran: the pods so far, with their exit statuses.
    """

    folder: Path
    volume: Path
    containers: bool
    watch: Watch = quiet
    network: str = "none"
    ran: list[tuple[Pod, int]] = field(default_factory=list)
    _killed: set[str] = field(default_factory=set)

    def run(self, pod: Pod) -> str:
        """Runs a pod as its own container, and returns its phase.

        In Argo Workflows, the phase is Error if the pod was deleted or its node went away, and Failed if its process failed
        (v4.0.5, workflow/controller/operator.go, `inferFailedReason` and `podReconciliation`).
        """
        outputs = Path(tempfile.mkdtemp(dir=self.folder))  # on a cluster, the launcher makes it in the container
        outputs.chmod(0o777)
        name, command = f"pod-{outputs.name}", pod.command
        inner = pod.env | {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/tmp"}
        environment, wrapped = inner, command
        if self.containers:
            reached = f"--network={self.network}"
            given = [f"--env={key}={value}" for key, value in inner.items()]
            place = [f"--name={name}", f"--workdir={PROJECT}", f"--volume={self.volume}:{self.volume}"]
            place += [f"--volume={outputs}:{OUTPUTS}", *_opened(Path(sys.base_prefix)), *_opened(PROJECT)]
            wrapped = [*_base(self.folder), "run", *ISOLATION, reached, *place, *given, "--rootfs", "/:O", *command]
            environment = _conf(self.folder)
        else:
            wrapped = [word.replace(OUTPUTS, str(outputs)) for word in command]
        with subprocess.Popen(wrapped, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            name = name if self.containers else str(process.pid)
            for line in process.stdout or ():
                print(line, end="", flush=True)
                self.watch(name, line)
        self.ran.append((pod, process.returncode))
        pod.outputs.update({path.name: path.read_text() for path in outputs.iterdir()})
        if name in self._killed:
            return ERROR
        return FAILED if process.returncode else SUCCEEDED

    def kill(self, name: str) -> None:
        """Kills a running container at once, as when a pod is deleted, because Kubeflow's launcher dies of SIGTERM."""
        self._killed.add(name)
        if self.containers:
            subprocess.run(
                [*_base(self.folder), "kill", name], env=_conf(self.folder), check=True, stdout=subprocess.DEVNULL
            )
        else:
            os.kill(int(name), 9)


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[Path]:
    """Starts a MariaDB server that listens only on a socket, and yields the socket.

    Args:
      folder: folder of its data and socket; everybody may reach it.
    """
    data, socket, setup = folder / "data", folder / "socket", folder / "setup.sql"
    setup.write_text(
        "CREATE DATABASE graftline;\n"
        f"CREATE USER graftline@localhost IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON graftline.* TO graftline@localhost;\n"
    )
    # If tests run in parallel, servers that share a folder for temporary tables delete each other's
    temporary = folder / "temporary"
    temporary.mkdir()
    surroundings = os.environ | {"TMPDIR": str(temporary)}
    user = ["--user=root"] if os.geteuid() == 0 else []
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", *user]
    subprocess.run(install, env=surroundings, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    command = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--socket={socket}", "--skip-networking", *user]
    with subprocess.Popen(
        [*command, f"--init-file={setup}"],
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        said = []
        for line in server.stdout or ():
            said.append(line)
            if "ready for connections" in line:
                break
        else:
            raise RuntimeError("MariaDB did not start:\n" + "".join(said))
        try:
            yield socket
        finally:
            server.terminate()
            server.communicate()
