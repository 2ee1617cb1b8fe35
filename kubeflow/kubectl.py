"""kubectl as this project asks it: always in the cluster's namespace, and with its own reason where it fails."""

import json
import re
import shutil
import subprocess
from typing import Any

from graftline.base.errors import UserError, short
from graftline.settings.settings import Settings
from kubeflow.pods import namespace

# What kubectl prints around its reason: its library's log, the API server's warnings, a hint at its help
BESIDE = re.compile(r"[EWIF]\d{4} |Warning: |See '")


def command(settings: Settings, *arguments: str) -> list[str]:
    """Returns a call of kubectl in the cluster's namespace.

    Args:
      settings: those of the pipeline.
      *arguments: what kubectl is given.

    Raises:
      UserError: where kubectl is not installed.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise UserError("kubectl is not in PATH: install version 1.31 or newer, which this command needs.")
    return [program, f"--namespace={namespace(settings)}", *arguments]


def ask(settings: Settings, what: str, *arguments: str, stdin: str | None = None) -> str:
    """Returns what kubectl prints.

    Args:
      settings: those of the pipeline.
      what: is asked of it, for the message.
      *arguments: what kubectl is given.
      stdin: what it reads.

    Raises:
      UserError: where it fails.
    """
    called = command(settings, *arguments)
    done = subprocess.run(called, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise failed(settings, what, done.stderr)
    return done.stdout


def failed(settings: Settings, what: str, stderr: str) -> UserError:
    """Returns the error for a call that failed.

    Args:
      settings: those of the pipeline.
      what: was asked of kubectl.
      stderr: what it printed.
    """
    return UserError(
        f"kubectl cannot {what} in the namespace {namespace(settings)} ({reason(stderr)}): check its context "
        "(`kubectl config current-context`), and your rights there."
    )


def reason(stderr: str) -> str:
    """Returns why kubectl failed, in its own words."""
    lines = [line for line in stderr.splitlines() if line.strip() and not BESIDE.match(line)]
    return short(lines[0].removeprefix("error: ")) if lines else "it does not say why"


def pod(settings: Settings, name: str) -> dict[str, Any]:
    """Returns a pod as the cluster has it.

    Args:
      settings: those of the pipeline.
      name: the pod's.

    Raises:
      UserError: where it cannot be read.
    """
    return json.loads(ask(settings, f"read the pod {name}", "get", "pod", name, "--output=json"))


def holdup(pod: dict[str, Any]) -> tuple[str, str]:
    """Returns what keeps a pod from running: a reason as Kubernetes names it, and a sentence; both empty where nothing does.

    Args:
      pod: as the cluster has it.
    """
    status = pod["status"]
    containers = status.get("initContainerStatuses", []) + status.get("containerStatuses", [])
    states = [one["state"]["waiting"] for one in containers if "waiting" in one.get("state", {})]
    unmet = [one for one in status.get("conditions", []) if one["type"] == "PodScheduled" and one["status"] == "False"]
    ended = [status] if status.get("phase") == "Failed" else []
    for found in (*ended, *unmet, *sorted(states, key=lambda state: "message" not in state)):
        return found.get("reason", status["phase"]), short(found.get("message") or found.get("reason", "it failed"))
    return "", ""
