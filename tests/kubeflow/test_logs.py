"""The logs of a run's pods, read through an imitation of kubectl."""

import pytest

from kubeflow import client as kubeflow_client
from kubeflow import logs
from tests.kubeflow.asking import settings_of


@pytest.fixture
def run(server, client, package, cluster, monkeypatch):
    """A run of the digits that is in progress."""
    monkeypatch.setenv("GRAFTLINE_CONFIG", "digits")
    monkeypatch.setenv("GRAFTLINE_CLUSTER__ENDPOINT", server.url)
    monkeypatch.setattr(logs, "POLL_SECONDS", 0.01)
    made = kubeflow_client.run(client, settings_of(server.url, "digits"), package, {})
    server.kept["runs"][0]["state"] = "RUNNING"
    return made.run_id


def pod(run: str, node: str, minute: int, phase: str = "Succeeded", role: str = "launcher", **status) -> dict:
    """Returns a pod as Argo Workflows makes it from a compiled pipeline."""
    name = f"digits-5g7kn-system-container-impl-{minute}"
    annotations = {logs.NODE: f"digits-5g7kn.root.exit-handler-1.{node}", logs.ROLE: role}
    metadata = {"name": name, "labels": {logs.RUN_LABEL: run}, "annotations": annotations}
    metadata["creationTimestamp"] = f"2026-11-25T03:{minute:02}:00Z"
    return {"metadata": metadata, "status": {"phase": phase, **status}, "log": f"this is {node}"}


def test_logs_are_printed_by_task_in_the_order_they_started(called, cluster, run):
    cluster.put(pod(run, "trainer.executor(1)", 9, "Running"))
    cluster.put(pod(run, "trainer.executor(0)", 8, "Failed", reason="Evicted"))
    cluster.put(pod(run, "trainer-driver", 7, role="driver"))
    cluster.put(pod(run, "statistics-gen.executor(0)", 10))
    cluster.put(pod(run, "onExit.end-run.executor", 11))
    cluster.put(pod("other", "trainer.executor(0)", 12))
    name = "digits-5g7kn-system-container-impl"
    assert called("logs") == (
        0,
        f"── trainer ({name}-8, failed)\nthis is trainer.executor(0)\n"
        f"── trainer, try 2 ({name}-9, running)\nthis is trainer.executor(1)\n"
        f"── statistics-gen ({name}-10, succeeded)\nthis is statistics-gen.executor(0)\n"
        f"── end-run ({name}-11, succeeded)\nthis is onExit.end-run.executor\n",
        "",
    )


def test_a_pod_that_does_not_start_has_its_reason_instead_of_a_log(called, cluster, run):
    unmet = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no GPU"}
    cluster.put(pod(run, "trainer.executor(0)", 8, "Pending", conditions=[unmet]))
    status, shown, _ = called("logs", run)
    assert status == 0 and shown.endswith(", pending)\nNo log: 0/3 nodes: no GPU.\n")
    cluster.put(pod(run, "trainer.executor(0)", 8, "Pending"))
    assert "is waiting to start: PodInitializing.\n" in called("logs", run)[1]


def test_logs_are_followed_until_the_run_ends(called, cluster, run, server, monkeypatch):
    steps = [
        lambda: None,
        lambda: cluster.put(pod(run, "trainer.executor(0)", 8, "Pending")),
        lambda: cluster.put(pod(run, "trainer.executor(0)", 8, "Running")),
        lambda: cluster.put(pod(run, "pusher.executor(0)", 9)),
        lambda: server.kept["runs"][0].update(state="SUCCEEDED"),
    ]
    monkeypatch.setattr(logs.time, "sleep", lambda _: steps.pop(0)())
    status, shown, error = called("logs", run, "--follow")
    assert (status, error, steps) == (0, "", [])
    assert [line for line in shown.splitlines() if "this is" in line] == [
        "this is trainer.executor(0)",
        "this is pusher.executor(0)",
    ]
    assert ["--follow" in call for call in cluster.calls() if "logs" in call] == [True, True]


def test_where_pods_are_gone_or_not_there_yet_it_is_said(called, server, run):
    status, shown, error = called("logs", run)
    assert (status, shown) == (1, "")
    assert error.startswith(f"No task of run {run} has a pod in the namespace graftline yet: ")
    server.kept["runs"][0]["state"] = "SUCCEEDED"
    for more in ([], ["--follow"]):
        status, _, error = called("logs", run, *more)
        assert status == 1 and error.startswith(f"No pod of run {run} is left in the namespace graftline: ")
    assert called("logs", "missing")[2].startswith("There is no run 'missing' in the namespace graftline of ")


@pytest.mark.parametrize("verb", ["get", "logs"])
def test_without_rights_it_is_said_which(verb, called, cluster, run):
    cluster.put(pod(run, "trainer.executor(0)", 8))
    reason = f'Error from server (Forbidden): pods "x" is forbidden: User "me" cannot {verb} resource "pods"'
    cluster.write(cluster.read() | {"fails": {verb: reason}})
    status, _, error = called("logs", run)
    assert (
        status == 1 and f"in the namespace graftline ({reason}): check its context" in error and error.count("\n") == 1
    )


def test_a_run_is_stopped(called, server, run):
    status, shown, _ = called("stop", run)
    assert status == 0 and shown.startswith(f"Run {run} is being stopped: ")
    assert server.kept["runs"][0]["state"] == "CANCELING"
    assert called("stop", "")[0] == 1
