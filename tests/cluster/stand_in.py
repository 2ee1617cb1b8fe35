"""A stand-in for a cluster with Kubeflow Pipelines: an API server whose runs are really executed, in containers.

It is built from the parts in `tests/kubeflow`: the server's interface (`kfp_server.py`), its driver and Argo Workflows
(`backend.py`), containers and a database (`machines.py`), and kubectl (`kubectl.py`), modeled on Kubeflow Pipelines 2.17.0
and Argo Workflows v4.0.5. This module adds:

- the scheduled workflow controller (backend/src/crd/controller/scheduledworkflow): a schedule starts a run when it is due.
  If the schedule already has as many runs as it may have at once, the new run waits for one of them to end;
- a workflow that was deleted with its schedule loses its pods, and its run keeps the state that it had;
- the kubelet: it kills the container of a deleted pod, and runs a pod that a person makes;
- network policies (networking.k8s.io/v1): those of the manifests and those made since.

There is only one network: a pod that the policies let reach another one shares that one's loopback. Other pods have none.
"""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from graftline.base.paths import PROJECT
from kubeflow.logs import NODE, ROLE, RUN_LABEL
from kubeflow.schedules import next_times
from tests.kubeflow.backend import FAILED, SUCCEEDED, Pipeline, Pod, RefusedError, Run
from tests.kubeflow.kfp_server import KfpServer
from tests.kubeflow.kubectl import CLUSTER, Cluster
from tests.kubeflow.machines import Pods

COMPONENT = "pipelines.kubeflow.org/v2_component"
POLICIES = PROJECT / "kubeflow/manifests/base/network-policies.yaml"
LOOPBACK = "127.0.0.1"
TICK_SECONDS = 0.2


class StandIn(KfpServer):
    """The cluster.

    Args:
      folder: holds its state, readable by everybody.
      volume: the folder that all pods share.
      containers: whether podman runs pods.
      policy: Argo's retryPolicy.
      **known: what the imitation of kubectl knows: namespace, accounts, claims, images, secrets.

    Attributes:
      cluster: what kubectl sees.
    """

    def __init__(self, folder: Path, volume: Path, containers: bool, policy: str = "OnError", **known: Any) -> None:
        super().__init__()
        self.cluster = Cluster(folder / "cluster")
        self.cluster.make(policies=_manifests(), **known)
        self._folder, self._volume, self._containers, self._policy = folder, volume, containers, policy
        self._machines: dict[str, Pods] = {}  # of each pod that runs
        self._names: dict[str, str] = {}  # of their containers, as soon as they have printed something
        self._due: dict[str, datetime] = {}
        self._pods = itertools.count(1)
        self._over = threading.Event()
        self._working = ThreadPoolExecutor(16)

    def keep(self, kind: str, thing: dict[str, Any]) -> dict[str, Any]:
        """Adds a thing, with the current time."""
        return _dated(super().keep(kind, thing), "created_at")

    def work(self) -> None:
        """Starts runs, and looks after schedules and pods, until it is closed."""
        while not self._over.wait(TICK_SECONDS):
            for run in [run for run in self.kept["runs"] if run["state"] == "PENDING"]:
                self._begin(run)
            for number, schedule in enumerate(list(self.kept["recurringruns"])):
                self._look_at(number, schedule)
            self._look_at_pods()

    def close(self) -> None:
        """Ends everything that is running."""
        self._over.set()
        for name in list(self._machines):
            (self.cluster.pods_dir / f"{name}.json").unlink(missing_ok=True)
        while self._machines:
            self._look_at_pods()
            time.sleep(TICK_SECONDS)
        self._working.shutdown()

    def _look_at(self, number: int, schedule: dict[str, Any]) -> None:
        """Fires a schedule that is due, as soon as its earlier runs let it."""
        identity, cron = schedule["recurring_run_id"], schedule["trigger"]["cron_schedule"]["cron"]
        if identity not in self._due:
            self._due[identity] = next_times(cron, "UTC", 1)[0]
        elif datetime.now(UTC) >= self._due[identity] and (run := self.fire(number)):
            run["runtime_config"] = schedule.get("runtime_config", {})
            self._due[identity] = next_times(cron, "UTC", 1)[0]
            self._begin(run)

    def _begin(self, run: dict[str, Any]) -> None:
        run["state"] = "RUNNING"
        self._working.submit(self._execute, run)

    def _execute(self, run: dict[str, Any]) -> None:
        used = run["pipeline_version_reference"]["pipeline_version_id"]
        (version,) = [one for one in self.kept["versions"] if one["pipeline_version_id"] == used]
        path = self._folder / f"{run['run_id']}.yaml"
        path.write_text(version["yaml"])
        parameters = run.get("runtime_config", {}).get("parameters", {})
        known = Run(run["run_id"], parameters, run["display_name"], f"workflow-{run['run_id']}", run["created_at"])
        try:
            pipeline = Pipeline(path, self.cluster.read()["secrets"])
            succeeded = pipeline.start(known, lambda pod: self._run(run, pod), self._policy)
        except RefusedError as error:
            print(error)
            succeeded = False
        if self.goes_on(run):
            _dated(run, "finished_at")["state"] = "SUCCEEDED" if succeeded else "FAILED"

    def _run(self, run: dict[str, Any], pod: Pod) -> str:
        """Runs a pod of a task, which kubectl sees next to that of its driver."""
        if run["run_id"] in self.killed or (run["state"] == "CANCELING" and pod.task != "end-run"):
            return FAILED
        workflow, number = f"workflow-{run['run_id']}", next(self._pods)
        node = f"onExit.{pod.task}.executor" if pod.task == "end-run" else f"exit-handler-1.{pod.task}.executor"
        labels = {RUN_LABEL: run["run_id"], COMPONENT: "true"}
        for name, role, where in (
            (f"{workflow}-driver-{number}", "driver", f"exit-handler-1.{pod.task}-driver"),
            (f"{workflow}-{number}", "launcher", f"{node}({pod.attempt})"),
        ):
            metadata = {"name": name, "labels": labels, "annotations": {ROLE: role, NODE: f"{workflow}.root.{where}"}}
            status = {"phase": SUCCEEDED if role == "driver" else "Running"}
            self.cluster.put({"metadata": metadata | {"creationTimestamp": _now()}, "status": status})
        return self._contain(name, pod, self._network(labels))

    def _contain(self, name: str, pod: Pod, network: str = "none") -> str:
        """Runs the container of a pod; kubectl sees the pod's object and log."""
        log = self.cluster.pods_dir / f"{name}.log"
        log.touch()

        def watch(container: str, line: str) -> None:
            self._names[name] = container
            with log.open("a") as opened:
                opened.write(line)

        self._machines[name] = Pods(self._folder, self._volume, self._containers, watch, network)
        phase = self._machines[name].run(pod)
        del self._machines[name]
        if made := self.cluster.pods().get(name):
            self.cluster.put(made | {"status": {"phase": phase if phase in (SUCCEEDED, FAILED) else FAILED}})
        return phase

    def _look_at_pods(self) -> None:
        """Kills the containers of deleted pods, runs the pods that people make, and gives those addresses."""
        there, runs = self.cluster.pods(), {run["run_id"]: run for run in self.kept["runs"]}
        for name, machine in list(self._machines.items()):
            run = runs.get(there.get(name, {}).get("metadata", {}).get("labels", {}).get(RUN_LABEL, ""), {})
            ended = run.get("run_id") in self.killed or run.get("state") == "CANCELING"
            if (name not in there or ended) and name in self._names:
                with contextlib.suppress(subprocess.CalledProcessError, ProcessLookupError):  # it has just ended
                    machine.kill(self._names.pop(name))
        for name, made in there.items():
            (container,) = made.get("spec", {}).get("containers", [{}])
            if container.get("ports") and name not in self._machines and made["status"]["phase"] == "Running":
                command = [*container["command"], *container.get("args", [])]
                self._machines[name] = Pods(
                    self._folder, self._volume, self._containers
                )  # now, so that it is run only once
                self._working.submit(self._contain, name, Pod(name, command, {}, container["image"], {}))
            if name in self._names and container.get("ports") and "podIP" not in made["status"]:
                self.cluster.put(made | {"status": made["status"] | {"podIP": LOOPBACK}})

    def _network(self, labels: dict[str, str]) -> str:
        """Returns the network of a pod with these labels: that of a pod that it may reach, if there is one."""
        policies = list(self.cluster.read()["policies"].values())
        for name, made in self.cluster.pods().items():
            containers = made.get("spec", {}).get("containers", [])
            ports = [port["containerPort"] for one in containers for port in one.get("ports", [])]
            known = made["metadata"]["labels"]
            if name in self._names and any(reaches(policies, labels, known, port) for port in ports):
                return f"container:{self._names[name]}"
        return "none"


def reaches(policies: list[dict[str, Any]], source: dict[str, str], target: dict[str, str], port: int) -> bool:
    """Returns whether a pod may reach a port of another one: the policies for both pods have to allow it.

    Args:
      policies: those of the namespace that both are in.
      source: labels of the pod that connects.
      target: labels of the pod that it connects to.
      port: a TCP port.
    """
    return _lets(policies, "Egress", "to", source, target, port) and _lets(
        policies, "Ingress", "from", target, source, port
    )


def _lets(
    policies: list[dict[str, Any]], way: str, key: str, mine: dict[str, str], other: dict[str, str], port: int
) -> bool:
    """Returns whether policies allow one direction: only if some select a pod is it closed, except for what they open."""
    specs = [policy["spec"] for policy in policies]
    mine_too = [spec for spec in specs if way in spec["policyTypes"] and _selects(spec["podSelector"], mine)]
    rules = [rule for spec in mine_too for rule in spec.get(way.lower(), [])]
    return not mine_too or any(
        (key not in rule or any(_is_peer(peer, other) for peer in rule[key]))
        and ("ports" not in rule or any((one["protocol"], one["port"]) == ("TCP", port) for one in rule["ports"]))
        for rule in rules
    )


def _is_peer(peer: dict[str, Any], labels: dict[str, str]) -> bool:
    """Returns whether a peer is a pod of this namespace; a selector of other namespaces selects none here."""
    return peer.keys() == {"podSelector"} and _selects(peer["podSelector"], labels)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, f"this stand-in does not support the selector {selector}"
    return selector.get("matchLabels", {}).items() <= labels.items()


def _manifests() -> dict[str, Any]:
    return {made["metadata"]["name"]: made for made in yaml.safe_load_all(POLICIES.read_text())}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _dated(thing: dict[str, Any], key: str) -> dict[str, Any]:
    thing[key] = _now()
    return thing


@contextlib.contextmanager
def standing_in(server: StandIn) -> Iterator[dict[str, str]]:
    """Runs a stand-in until the block ends, and yields the variables to find it, among them a PATH with its kubectl.

    Args:
      server: the stand-in, not running yet.
    """
    program = server.cluster.folder / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} -m tests.kubeflow.kubectl "$@"\n')
    program.chmod(0o755)
    threads = [threading.Thread(target=one) for one in (server.serve_forever, server.work)]
    for thread in threads:
        thread.start()
    try:
        yield {
            "GRAFTLINE_CLUSTER__ENDPOINT": server.url,
            CLUSTER: str(server.cluster.folder),
            "PATH": f"{program.parent}:{os.environ['PATH']}",
        }
    finally:
        server.close()
        server.shutdown()
        for thread in threads:
            thread.join()
        server.server_close()
