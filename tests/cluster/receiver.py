"""A pod that receives the reports of runs, as a chat program's webhook would, and prints each as a line."""

import json
from typing import Any

from graftline.base.errors import UserError
from graftline.settings.settings import Settings
from kubeflow import kubectl
from kubeflow.visits import visitor

NAME = "graftline-acceptance-webhook"
MADE = (("pod", NAME), ("networkpolicy", NAME))
# The manifests let pods of runs reach this port; a new policy for those pods would close them if they have none yet
PORT = 6443
PROGRAM = f"""
import http.server
import json

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(json.dumps(json.loads(self.rfile.read(int(self.headers["Content-Length"])))), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("", {PORT}), Handler)
print("Listening.", flush=True)
server.serve_forever()
"""


def make(settings: Settings) -> None:
    """Makes the pod, and the policy that lets pods of runs reach it.

    Args:
      settings: those of the pipeline.

    Raises:
      UserError: if kubectl may not make them.
    """
    for made in (_policy(), _pod(settings)):
        kubectl.ask(settings, f"make the {made['kind']} {NAME}", "apply", "--filename=-", stdin=json.dumps(made))


def address(settings: Settings) -> str | None:
    """Returns where the receiver listens; None until it runs.

    Raises:
      UserError: if it will never run.
    """
    pod = kubectl.pod(settings, NAME)
    status = pod["status"]
    if status["phase"] in ("Failed", "Succeeded"):
        reason, sentence = kubectl.holdup(pod)
        raise UserError(f"The receiver ended before any report arrived ({reason}: {sentence}).")
    running = status["phase"] == "Running" and status.get("podIP")
    return f"http://{status['podIP']}:{PORT}/" if running else None


def keep(settings: Settings, webhook: str) -> None:
    """Makes the Secret from which pods take the webhook.

    Args:
      settings: those of the pipeline.
      webhook: where the receiver listens.
    """
    metadata = {"name": settings.cluster.settings_secret}
    made = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"webhook": webhook}}
    kubectl.ask(settings, "make a Secret", "apply", "--filename=-", stdin=json.dumps(made))


def _pod(settings: Settings) -> dict[str, Any]:
    made = visitor.manifest(settings, with_settings=False)
    made["metadata"] |= {"name": NAME, "labels": {"app.kubernetes.io/name": NAME}}
    (container,) = made["spec"]["containers"]
    container |= {"command": ["python", "-c", PROGRAM], "ports": [{"containerPort": PORT}]}
    return made


def _policy() -> dict[str, Any]:
    of_runs = {"podSelector": {"matchLabels": {"pipelines.kubeflow.org/v2_component": "true"}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": NAME},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [of_runs], "ports": [{"protocol": "TCP", "port": PORT}]}],
        },
    }
