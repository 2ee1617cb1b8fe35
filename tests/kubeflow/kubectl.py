"""An imitation of kubectl and of the cluster behind it: pods are processes on this machine, the volume is a folder.

Based on kubectl 1.32 (kubernetes/kubectl, paths below `pkg/cmd`) and what the API server and the kubelet do to a pod.
It takes the flags in `FLAGS`, which a test compares with the real program's help, and refuses any other. It is as strict as
the real ones about the schema (apply validates strictly by default), rights, the service account, the volume's claim, the
image, the keys of Secrets, and programs in a pod that is not running.

Unlike on a cluster, a pod has this machine's file system, and its metadata is in a SQLite file instead of a server.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from graftline.base.paths import PREFIX, PROJECT

CLUSTER = "IMITATED_CLUSTER"  # environment variable with the folder of its state
FLAGS = {  # by command; flags with a value end with =
    "apply": {"filename="},
    "wait": {"for=", "timeout="},
    "get": {"selector=", "output="},
    "exec": {"stdin", "container="},
    "delete": {"now", "wait=", "ignore-not-found"},
    "logs": {"container=", "follow"},
}
KEPT = {
    "Secret": ("secret", "secrets"),
    "NetworkPolicy": ("networkpolicy.networking.k8s.io", "policies"),
}  # kinds besides pods
CONFIG, PASSWORD = f"{PREFIX}CONFIG", f"{PREFIX}METADATA__PASSWORD"


class Cluster:
    """The cluster's state, in files of a folder that tests also write.

    Args:
      folder: folder of its state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pods_dir = folder / "pods"

    def make(self, **known: Any) -> None:
        """Creates the cluster's state.

        Args:
          **known: namespace, images, claims, secrets, accounts, and by verb how calls must fail.
        """
        self.pods_dir.mkdir(parents=True)
        self.write(known)

    def read(self) -> dict[str, Any]:
        """Returns its state."""
        return json.loads((self.folder / "known.json").read_text())

    def write(self, known: dict[str, Any]) -> None:
        """Replaces its state."""
        _replace(self.folder / "known.json", known)

    def calls(self) -> list[list[str]]:
        """Returns the calls so far."""
        path = self.folder / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def pods(self) -> dict[str, dict[str, Any]]:
        """Returns the existing pods, by name."""
        found = {}
        for path in sorted(self.pods_dir.glob("*.json")):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                found[path.stem] = json.loads(path.read_text())
        return found

    def put(self, pod: dict[str, Any]) -> None:
        """Adds or replaces a pod."""
        _replace(self.pods_dir / f"{pod['metadata']['name']}.json", pod)


def _replace(path: Path, content: Any) -> None:
    """Writes a file that others may be reading."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    aside.write_text(json.dumps(content))
    aside.replace(path)


def fail(text: str, status: int = 1) -> NoReturn:
    """Ends as kubectl does on an error."""
    print(text, file=sys.stderr)
    sys.exit(status)


def parsed(arguments: list[str]) -> tuple[str, str, list[str], dict[str, str], list[str]]:
    """Returns the namespace, the verb, its arguments and flags, and the command after `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    words = [one for one in arguments[:end] if not one.startswith("-")]
    given = {(pair := one.lstrip("-").partition("="))[0]: pair[2] for one in arguments[:end] if one.startswith("-")}
    namespace = given.pop("namespace", "default")
    verb = words[0]
    for name, value in given.items():
        if name not in {flag.rstrip("=") for flag in FLAGS[verb]} or (f"{name}=" not in FLAGS[verb] and value):
            fail(f"error: unknown flag: --{name}\nSee 'kubectl {verb} --help' for usage.")
    return namespace, verb, words[1:], given, arguments[end + 1 :]


def main() -> None:
    """Runs the command line."""
    cluster = Cluster(Path(os.environ[CLUSTER]))
    with (cluster.folder / "calls").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    known = cluster.read()
    namespace, verb, words, given, command = parsed(sys.argv[1:])
    if verb in known.get("fails", {}):
        fail(known["fails"][verb])
    if namespace != known["namespace"]:
        fail(f'Error from server (Forbidden): pods is forbidden: User "me" cannot {verb} resource "pods" in API group "" '
             f'in the namespace "{namespace}"')  # fmt: skip
    if verb == "apply":
        apply(cluster, known)
    elif verb == "wait":
        wait(cluster, words[0].removeprefix("pod/"), given)
    elif verb == "get":
        get(cluster, words, given)
    elif verb == "exec":
        execute(cluster, known, words[0], given, command)
    elif verb == "delete":
        delete(cluster, known, words[0], words[1], given)
    else:
        logs(cluster, words[0], given)


def apply(cluster: Cluster, known: dict[str, Any]) -> None:
    """Creates a pod, a Secret or a policy."""
    import kubernetes_validate  # slow, and only needed here

    pod = json.load(sys.stdin)
    try:
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        fail(f'error: error validating "STDIN": error validating data: {error.message}')
    if pod["kind"] in KEPT:
        shown, kept = KEPT[pod["kind"]]
        known.setdefault(kept, {})[pod["metadata"]["name"]] = pod.get("stringData", pod)
        cluster.write(known)
        print(f"{shown}/{pod['metadata']['name']} created")
        return
    name, account = pod["metadata"]["name"], pod["spec"].get("serviceAccountName", "default")
    if account not in known["accounts"]:
        fail(f'Error from server (Forbidden): error when creating "STDIN": pods "{name}" is forbidden: error looking up '
             f'service account {known["namespace"]}/{account}: serviceaccount "{account}" not found')  # fmt: skip
    pod["status"] = status(pod, known)
    pod["metadata"]["creationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    cluster.put(pod)
    print(f"pod/{name} created")


def status(pod: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Returns the status of a new pod: the scheduler checks its claims, the kubelet its image and Secrets."""
    (container,) = pod["spec"]["containers"]
    for volume in pod["spec"]["volumes"]:
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        if claim and claim not in known["claims"]:
            unmet = f'0/1 nodes are available: persistentvolumeclaim "{claim}" not found.'
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unmet}
            return {"phase": "Pending", "conditions": [condition]}
    waiting = None
    if container["image"] not in known["images"]:
        waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container["image"]}"'}
    for variable in container["env"]:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        if source and source["name"] not in known["secrets"]:
            waiting = {"reason": "CreateContainerConfigError", "message": f'secret "{source["name"]}" not found'}
        elif source and source["key"] not in known["secrets"][source["name"]]:
            missing = f"couldn't find key {source['key']} in Secret {known['namespace']}/{source['name']}"
            waiting = {"reason": "CreateContainerConfigError", "message": missing}
    if waiting:
        state = {"name": container["name"], "state": {"waiting": waiting}}
        return {"phase": "Pending", "containerStatuses": [state], "conditions": []}
    return {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def found(cluster: Cluster, name: str) -> dict[str, Any]:
    """Returns a pod; ends with kubectl's error if there is none."""
    pods = cluster.pods()
    return pods[name] if name in pods else fail(f'Error from server (NotFound): pods "{name}" not found')


def wait(cluster: Cluster, name: str, given: dict[str, str]) -> None:
    """Waits for a condition, but not for long: one that is not met at once is never met."""
    kind, _, condition = given["for"].partition("=")
    assert kind == "condition"
    met = [one["type"] for one in found(cluster, name)["status"].get("conditions", []) if one["status"] == "True"]
    if condition not in met:
        time.sleep(0.05)
        fail(f"error: timed out waiting for the condition on pods/{name}")
    print(f"pod/{name} condition met")


def get(cluster: Cluster, words: list[str], given: dict[str, str]) -> None:
    """Prints a pod, or all pods with a label."""
    assert given["output"] == "json"
    if words[0] == "pod":
        print(json.dumps(found(cluster, words[1])))
        return
    key, _, value = given["selector"].partition("=")
    items = [pod for pod in cluster.pods().values() if pod["metadata"].get("labels", {}).get(key) == value]
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def execute(cluster: Cluster, known: dict[str, Any], name: str, given: dict[str, str], command: list[str]) -> None:
    """Runs a program in a pod, and passes its exit status on (exec/exec.go:352; util/helpers.go, `checkErr`)."""
    pod = found(cluster, name)
    if not command:
        fail("error: you must specify at least one command for the container")
    if pod["status"]["phase"] in ("Succeeded", "Failed"):
        fail(f"error: cannot exec into a container in a completed pod; current phase is {pod['status']['phase']}")
    (container,) = pod["spec"]["containers"]
    if given["container"] != container["name"]:
        fail(f"error: container {given['container']} is not valid for pod {name} out of: {container['name']}")
    if pod["status"]["phase"] != "Running":
        fail(
            f'error: Internal error occurred: unable to upgrade connection: container not found ("{container["name"]}")'
        )
    # In a session of its own, because no signal of this terminal reaches a pod
    with subprocess.Popen(
        command,
        cwd=PROJECT,
        env=environment(container, known),
        stdin=subprocess.PIPE if "cut" in known else None if "stdin" in given else subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        (cluster.pods_dir / f"{name}.processes").open("a").write(f"{process.pid}\n")
        if "cut" in known:
            cut(process, known["cut"], known.get("hangs", False))
    if process.returncode:
        status = process.returncode if process.returncode > 0 else 128 - process.returncode
        fail(f"command terminated with exit code {status}", status)


def cut(process: subprocess.Popen[bytes], after: int, hangs: bool) -> NoReturn:
    """Drops the connection after so many bytes: the program reads all of them, and kubectl reports an error.

    With `hangs`, the connection hangs after these bytes instead, without an error.
    """
    assert process.stdin
    process.stdin.write(sys.stdin.buffer.read(after))
    process.stdin.flush()
    if hangs:
        time.sleep(60)
    process.stdin.close()
    process.wait()
    fail(
        "error: error reading from error stream: next reader: websocket: close 1006 (abnormal closure): unexpected EOF"
    )


def environment(container: dict[str, Any], known: dict[str, Any]) -> dict[str, str]:
    """Returns the variables of a container, with metadata in the same file as on one machine."""
    given = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    given["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for variable in container["env"]:
        source = variable.get("valueFrom", {}).get("secretKeyRef")
        value = known["secrets"][source["name"]][source["key"]] if source else variable["value"]
        given[variable["name"]] = value
    if CONFIG in given:
        settings = json.loads(given[CONFIG])
        assert settings.pop("metadata") is not None and given.pop(PASSWORD)
        given[CONFIG] = json.dumps(settings)
    return given


def delete(cluster: Cluster, known: dict[str, Any], kind: str, name: str, given: dict[str, str]) -> None:
    """Deletes a Secret, a policy, or a pod, and kills what runs in it."""
    for shown, kept in KEPT.values():
        if shown.partition(".")[0] == kind:
            if known.get(kept, {}).pop(name, None) is None and "ignore-not-found" not in given:
                fail(f'Error from server (NotFound): {kept} "{name}" not found')
            cluster.write(known)
            return
    if "ignore-not-found" in given and name not in cluster.pods():
        return
    found(cluster, name)
    processes = cluster.pods_dir / f"{name}.processes"
    for number in processes.read_text().split() if processes.exists() else []:
        try:
            os.killpg(int(number), signal.SIGKILL)
        except ProcessLookupError:
            continue
    (cluster.pods_dir / f"{name}.json").unlink()
    print(f'pod "{name}" deleted')


def logs(cluster: Cluster, name: str, given: dict[str, str]) -> None:
    """Prints the log of a container: the one that a test set, or the file of a container that really ran."""
    pod = found(cluster, name)
    if pod["status"]["phase"] == "Pending":
        fail(f'Error from server (BadRequest): container "{given["container"]}" in pod "{name}" is waiting to start: '
             "PodInitializing")  # fmt: skip
    print(pod["log"] if "log" in pod else (cluster.pods_dir / f"{name}.log").read_text())


if __name__ == "__main__":
    main()
