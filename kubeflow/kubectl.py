"""Calls kubectl, always in the cluster's namespace, and passes on kubectl's own reason if it fails."""

import json
import re
import shutil
import subprocess
from typing import Any

from graftline.base.errors import UserError, short
from graftline.settings.settings import Settings
from kubeflow.pods import namespace

# Lines that kubectl prints around its reason: its library's log, the API server's warnings, a pointer to its help
BESIDE = re.compile(r"[EWIF]\d{4} |Warning: |See '")


def command(settings: Settings, *arguments: str) -> list[str]:
    """Returns a kubectl command in the cluster's namespace.

    Args:
      settings: the pipeline's settings.
      *arguments: kubectl's arguments.

    Raises:
      UserError: if kubectl is not installed.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise UserError("kubectl is not in PATH: install version 1.31 or newer, which this command needs.")
    return [program, f"--namespace={namespace(settings)}", *arguments]


def ask(settings: Settings, what: str, *arguments: str, stdin: str | None = None) -> str:
    """Returns what kubectl prints.

    Args:
      settings: the pipeline's settings.
      what: what kubectl should do, for the error message.
      *arguments: kubectl's arguments.
      stdin: its standard input.

    Raises:
      UserError: if kubectl fails.
    """
    called = command(settings, *arguments)
    done = subprocess.run(called, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise failed(settings, what, done.stderr)
    return done.stdout


def failed(settings: Settings, what: str, stderr: str) -> UserError:
    """Returns the error for a call that failed.

    Args:
      settings: the pipeline's settings.
      what: what kubectl should have done.
      stderr: what it printed on standard error.
    """
    return UserError(
        f"kubectl cannot {what} in the namespace {namespace(settings)} ({reason(stderr)}): check its context "
        "(`kubectl config current-context`), and your rights in that namespace."
    )


def reason(stderr: str) -> str:
    """Returns why kubectl failed, in its own words."""
    lines = [line for line in stderr.splitlines() if line.strip() and not BESIDE.match(line)]
    return short(lines[0].removeprefix("error: ")) if lines else "it gave no reason"


def pod(settings: Settings, name: str) -> dict[str, Any]:
    """Returns a pod as the cluster reports it.

    Args:
      settings: the pipeline's settings.
      name: the pod's name.

    Raises:
      UserError: if the pod cannot be read.
    """
    return json.loads(ask(settings, f"read the pod {name}", "get", "pod", name, "--output=json"))


def holdup(pod: dict[str, Any]) -> tuple[str, str]:
    """Returns what keeps a pod from running: a reason as Kubernetes names it, and a sentence; both empty if nothing does.

    Args:
      pod: the pod as the cluster reports it.
    """
    status = pod["status"]
    containers = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    states = [one["state"]["waiting"] for one in containers if "waiting" in one.get("state", {})]
    unmet = [one for one in status.get("conditions", []) if one["type"] == "PodScheduled" and one["status"] == "False"]
    ended = [status] if status.get("phase") == "Failed" else []
    for found in (*ended, *unmet, *sorted(states, key=lambda state: "message" not in state)):
        return found.get("reason", status["phase"]), short(found.get("message") or found.get("reason", "it failed"))
    return "", ""
