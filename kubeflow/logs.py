"""Prints the logs of a run, pod by pod in the order in which they started.

The server labels the pods of a run with its id, and Argo Workflows annotates each with its task, as in
`digits-5g7kn.root.exit-handler-1.trainer.executor(1)`. Driver pods, which decide how a task runs, log nothing about
the run and are left out.
"""

import json
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import kfp
import kfp_server_api

from graftline.base import console
from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow import kubectl
from kubeflow.pods import namespace
from kubeflow.runs import find
from kubeflow.schedules import ENDED

# Kubeflow Pipelines 2.17.0: backend/src/common/util/consts.go:48 and :62; v2/driver/driver.go:456
RUN_LABEL, ROLE, LAUNCHER, CONTAINER = "pipeline/runid", "pipelines.kubeflow.org/runtime-role", "launcher", "main"
NODE = "workflows.argoproj.io/node-name"  # Argo Workflows v4.0.5: workflow/common/common.go:31
TASK = re.compile(r"(?P<task>[^.]+?)(\.executor)?(\((?P<number>\d+)\))?$")
POLL_SECONDS = 5
NO_LOG = re.compile(
    r"Error from server \((BadRequest|NotFound)\)"
)  # a container that did not start, or a pod that is gone


@dataclass(frozen=True)
class Pod:
    """A pod that runs a task.

    Attributes:
      name: its name on the cluster.
      task: the task that it runs, and the number of the try if it is not the first.
      phase: its phase, as Kubernetes names it.
      holdup: what keeps it from running; empty if nothing does.
    """

    name: str
    task: str
    phase: str
    holdup: str


def show(client: kfp.Client, settings: Settings, run_id: str, follow: bool) -> None:
    """Prints the logs of a run.

    Args:
      client: a connected client.
      settings: the pipeline's settings.
      run_id: the run's id, or `latest`.
      follow: whether to continue until the run ends.

    Raises:
      UserError: if there is no such run, or it has no pods.
    """
    run = find(client, settings, run_id)
    shown: set[str] = set()
    while True:
        over = not follow or client.get_run(run.run_id).state in ENDED  # checked first, so that no pod is missed
        for pod in pods(settings, run.run_id):
            if pod.name not in shown and (over or pod.phase != "Pending"):
                _print(settings, pod, follow)
                shown.add(pod.name)
        if over:
            break
        time.sleep(POLL_SECONDS)
    if not shown:
        raise UserError(_nothing(settings, run))


def pods(settings: Settings, run_id: str) -> list[Pod]:
    """Returns the pods of a run's tasks in the order in which they started.

    Args:
      settings: the pipeline's settings.
      run_id: the run's id.

    Raises:
      UserError: if kubectl cannot list them.
    """
    asked = ["get", "pods", f"--selector={RUN_LABEL}={run_id}", "--output=json"]
    listed = json.loads(kubectl.ask(settings, f"list the pods of run {run_id}", *asked))["items"]
    of_tasks = [one for one in listed if one["metadata"].get("annotations", {}).get(ROLE) == LAUNCHER]
    of_tasks.sort(key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))
    return [_pod(one) for one in of_tasks]


def _pod(made: dict[str, Any]) -> Pod:
    node = TASK.search(made["metadata"]["annotations"][NODE])
    assert node
    number = int(node["number"] or 0)
    task = f"{node['task']}, try {number + 1}" if number else node["task"]
    return Pod(made["metadata"]["name"], task, made["status"]["phase"], kubectl.holdup(made)[1])


def _print(settings: Settings, pod: Pod, follow: bool) -> None:
    console.line(f"── {pod.task} ({pod.name}, {pod.phase.lower()})", style="bold")
    sys.stdout.flush()
    asked = kubectl.command(settings, "logs", pod.name, f"--container={CONTAINER}", *(["--follow"] if follow else []))
    done = subprocess.run(asked, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode and not NO_LOG.search(done.stderr):
        raise kubectl.failed(settings, f"read the log of the pod {pod.name}", done.stderr)
    if done.returncode:
        console.line(f"No log: {pod.holdup or kubectl.reason(done.stderr)}.")


def _nothing(settings: Settings, run: kfp_server_api.V2beta1Run) -> str:
    """Returns a sentence that says why there is no log."""
    where = f"in the namespace {namespace(settings)}"
    if run.state in ENDED:
        return (
            f"No pod of run {run.run_id} is left {where}: Kubeflow Pipelines deletes pods, with their logs, some time after "
            "a run has ended. If it archives logs, they are on the run's page in Kubeflow."
        )
    return f"No task of run {run.run_id} has a pod {where} yet: try again in a minute, or use --follow."
