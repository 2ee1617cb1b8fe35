"""Creates the pod of a visit from the pipeline's image, like a task's pod, and deletes it however the visit ends.

If this machine is switched off before it can delete the pod, the pod still ends after `LONGEST_HOURS`.
"""

import contextlib
import json
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, Any

from graftline.base import console
from graftline.base.errors import UserError
from graftline.settings.load import CONFIG_VARIABLE
from graftline.settings.settings import Settings
from kubeflow import kubectl
from kubeflow.pods import USER, configuration, image, namespace, secret_variables

CONTAINER = "main"
LONGEST_HOURS = 4
START_SECONDS = 600  # an image of several gigabytes may have to be pulled first
POLL_SECONDS = 5
# Reasons that do not resolve on their own, or not soon
HOPELESS = {
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "DeadlineExceeded",
}
ENDED = re.compile(r"command terminated with exit code \d+\n?$")  # kubectl's own last line if a program failed


class ProgramError(UserError):
    """What a program in the pod said when it failed.

    Attributes:
      status: the program's exit status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextlib.contextmanager
def visiting(settings: Settings, with_settings: bool = True) -> Iterator[str]:
    """Yields the name of a pod that runs until the block ends.

    Args:
      settings: the pipeline's settings.
      with_settings: whether it gets the settings and Secrets of a run's pods; it gets the volume in any case.

    Raises:
      UserError: if the pod cannot be created, or does not start.
    """
    made = manifest(settings, with_settings)
    name = made["metadata"]["name"]
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_remove, settings, name)
        try:
            kubectl.ask(settings, "create a pod", "apply", "--filename=-", stdin=json.dumps(made))
        except UserError:
            cleanup.pop_all()
            raise
        _wait(settings, name)
        yield name


def manifest(settings: Settings, with_settings: bool = True) -> dict[str, Any]:
    """Returns the pod's manifest for Kubernetes.

    Args:
      settings: the pipeline's settings.
      with_settings: as for `visiting`.

    Raises:
      UserError: if no image is configured, or the settings name a file that pods do not have.
    """
    cluster = settings.cluster
    least = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": CONTAINER,
        "image": image(settings),
        "command": ["sleep", "infinity"],
        "env": _environment(settings) if with_settings else [],
        "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
        "securityContext": least,
        "volumeMounts": [
            {"name": "volume", "mountPath": str(cluster.mount)},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"graftline-visitor-{secrets.token_hex(4)}",
            # With this label, network policies let it reach the metadata store, as they let a run's pods
            "labels": {"app.kubernetes.io/name": "graftline-visitor", "pipelines.kubeflow.org/v2_component": "true"},
            "annotations": {"sidecar.istio.io/inject": "false"},  # as Kubeflow Pipelines marks the pods of a run
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": LONGEST_HOURS * 3600,
            "terminationGracePeriodSeconds": 1,
            "serviceAccountName": cluster.service_account,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [
                {"name": "volume", "persistentVolumeClaim": {"claimName": cluster.volume}},
                {"name": "tmp", "emptyDir": {}},
            ],
        },
    }


def _environment(settings: Settings) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = [{"name": CONFIG_VARIABLE, "value": configuration(settings)}]
    for secret, variables in secret_variables(settings):
        for key, variable in variables.items():
            given.append({"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
    return given


def _wait(settings: Settings, name: str) -> None:
    """Waits until the pod runs, and shows what it waits for."""
    end = time.monotonic() + START_SECONDS
    with console.waiting() as shown:
        while not _is_ready(settings, name):
            reason, sentence = kubectl.holdup(kubectl.pod(settings, name))
            if reason in HOPELESS or time.monotonic() > end:
                raise UserError(
                    f"The pod {name} does not start ({reason or 'no known reason'}: {sentence}): check that the image "
                    f"{image(settings)}, the volume {settings.cluster.volume} and the Secrets listed in "
                    "docs/how-to/kubeflow-cluster.md exist."
                )
            shown(f"Waiting for a pod on the cluster ({reason or 'starting'})")


def _is_ready(settings: Settings, name: str) -> bool:
    asked = ["wait", "--for=condition=Ready", f"--timeout={POLL_SECONDS}s", f"pod/{name}"]
    done = subprocess.run(kubectl.command(settings, *asked), capture_output=True, text=True, check=False)
    if done.returncode and "timed out waiting" not in done.stderr:
        raise kubectl.failed(settings, f"wait for the pod {name}", done.stderr)
    return done.returncode == 0


def _remove(settings: Settings, name: str) -> None:
    """Deletes the pod in a separate session, so that a second Ctrl-C does not stop the deletion."""
    asked = kubectl.command(settings, "delete", "pod", name, "--now", "--wait=false", "--ignore-not-found")
    done = subprocess.run(asked, capture_output=True, text=True, check=False, start_new_session=True)
    if done.returncode:
        print(
            f"The pod {name} was not deleted ({kubectl.reason(done.stderr)}): it ends on its own within {LONGEST_HOURS} "
            f"hours; to end it now, run `kubectl -n {namespace(settings)} delete pod {name}`.",
            file=sys.stderr,
        )


@contextlib.contextmanager
def program(
    settings: Settings, pod: str, *command: str, stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program in the pod until the program ends or the block raises an error.

    Args:
      settings: the pipeline's settings.
      pod: the pod's name.
      *command: the program, with its arguments.
      stdin: as for `subprocess.Popen`.
      stdout: as for `subprocess.Popen`.

    Raises:
      ProgramError: if the program fails, with what it printed on standard error.
      UserError: if the connection to the pod breaks.
    """
    asked = [
        "exec",
        pod,
        f"--container={CONTAINER}",
        *(["--stdin"] if stdin == subprocess.PIPE else []),
        "--",
        *command,
    ]
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        with subprocess.Popen(kubectl.command(settings, *asked), stdin=stdin, stdout=stdout, stderr=said) as process:
            try:
                yield process
                _finish(process.stdin)
                process.wait()
            except BaseException:
                process.kill()
                _finish(process.stdin)
                raise
        said.seek(0)
        _tell(settings, pod, process.returncode, said.read())


def _finish(stdin: IO[bytes] | None) -> None:
    """Closes the program's input; a program that ended before it read everything says why itself."""
    if stdin:
        with contextlib.suppress(BrokenPipeError):
            stdin.close()


def _tell(settings: Settings, pod: str, status: int, said: str) -> None:
    """Passes on what a program said on standard error."""
    if not status:
        sys.stderr.write(said)
    elif ENDED.search(said):
        message = ENDED.sub("", said).strip()
        raise ProgramError(message or f"The program in the pod {pod} ended with status {status}.", status)
    else:
        own = said.splitlines()[-1:]  # kubectl's own line follows what the program said, if anything
        raise kubectl.failed(settings, f"run a program to completion in the pod {pod}", "".join(own))
