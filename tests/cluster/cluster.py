"""A real cluster, as its acceptance test uses it: with the project's commands, the client of its server, and kubectl."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import kfp_server_api

from graftline.base.errors import UserError
from graftline.base.paths import PROJECT
from graftline.settings.settings import Settings
from kubeflow import client, kubectl, logs, runs
from kubeflow.schedules import ENDED, Schedules, schedules, unschedule
from kubeflow.visits import visitor
from tests.cluster import receiver

Result = TypeVar("Result")

POLL_SECONDS = 2
LONGEST_MINUTES = 60  # to wait for anything: a node may have to start and fetch the image
FOLDERS = "pipelines", "serving"  # on the volume, each with one folder per pipeline


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
      run: as the server returns it.
      seconds: from its start to its end.
      tasks: those that had a pod, in the order they started; one that was tried again counts once.
      report: what EndRun printed about it.
    """

    run: kfp_server_api.V2beta1Run
    seconds: float
    tasks: list[str]
    report: dict[str, Any]

    def __str__(self) -> str:
        return f"run {self.run.run_id}: {', '.join(self.tasks)}; {self.seconds:.0f} s"

    def states(self) -> dict[str, str]:
        """Returns the state of each component."""
        return {one["name"]: one["state"] for one in self.report["components"]}


class Cluster:
    """The cluster that the settings name, and the test's own pipeline on it.

    Args:
      settings: with a name that no other pipeline has.

    Attributes:
      first: the end of the first run, if it pushed.
      beside: a run that was started while another one was going on, and the end of that other one.
      ended: the end of each run that the test waited for.
      address: of the receiver of reports; empty if it could not be made.
      no_receiver: why it could not be made.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.first: End | None = None
        self.beside: tuple[str, End] | None = None
        self.ended: list[End] = []
        self.address = self.no_receiver = ""

    def command(self, *arguments: str) -> str:
        """Calls one of the project's commands as a user would, and returns what it prints."""
        called = [sys.executable, "-m", "graftline.cli", "kubeflow", *arguments]
        done = subprocess.run(called, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"`graftline kubeflow {' '.join(arguments)}` failed: {done.stderr.strip()}"
        return done.stdout

    def start(self, *changes: str) -> str:
        """Starts a run with these parameters, NAME=VALUE each, and returns its id."""
        said = self.command("run", *(f"--param={change}" for change in changes))
        return said.rpartition(": run ")[2].strip().rstrip(".")

    def end(self, run_id: str) -> End:
        """Waits until a run has ended."""

        def over() -> kfp_server_api.V2beta1Run | None:
            run = self.run(run_id)
            return run if run.state in ENDED else None

        run = waited(f"the end of run {run_id}", over)
        pods = logs.pods(self.settings, run_id)
        # EndRun is the last to start
        tasks = list(dict.fromkeys(pod.task.partition(",")[0] for pod in pods))
        report = _report(self.log(pods[-1].name)) if "end-run" in tasks else {}
        found = End(run, (run.finished_at - run.created_at).total_seconds(), tasks, report)
        self.ended.append(found)
        return found

    def run(self, run_id: str) -> kfp_server_api.V2beta1Run:
        """Returns a run from the server."""
        with client.connected(self.settings) as connected:
            return connected.get_run(run_id)

    def pod(self, run_id: str, task: str) -> str:
        """Waits until a task of a run has a running pod, and returns its name."""

        def working() -> str | None:
            assert self.run(run_id).state not in ENDED, f"run {run_id} ended without a pod of {task}"
            pods = logs.pods(self.settings, run_id)
            return next((pod.name for pod in pods if pod.task == task and pod.phase == "Running"), None)

        return waited(f"a pod of {task} in run {run_id}", working)

    def tries(self, run_id: str, task: str) -> list[str]:
        """Returns the pods of a task's tries that still exist, the last try last."""
        return [pod.name for pod in logs.pods(self.settings, run_id) if pod.task.partition(",")[0] == task]

    def log(self, pod: str) -> str:
        """Returns what a pod of a task has printed so far."""
        return kubectl.ask(self.settings, f"read the log of {pod}", "logs", pod, f"--container={logs.CONTAINER}")

    def delete(self, kind: str, name: str) -> None:
        """Deletes something without waiting for it, as a user might."""
        asked = ["delete", kind, name, "--now", "--wait=false", "--ignore-not-found"]
        kubectl.ask(self.settings, f"delete the {kind} {name}", *asked)

    def schedules(self) -> Schedules:
        """Returns the schedules of the pipeline."""
        with client.connected(self.settings) as connected:
            return schedules(connected, self.settings, client.find_pipeline_id(connected, self.settings))

    def fired(self, schedule: kfp_server_api.V2beta1RecurringRun) -> str:
        """Waits until a schedule has started a run, and returns its id."""
        mine = client.where("recurring_run_id", schedule.recurring_run_id)

        def started() -> str | None:
            with client.connected(self.settings) as connected:
                listed = connected.list_runs(experiment_id=schedule.experiment_id, filter=mine).runs
            return listed[0].run_id if listed else None

        return waited(f"a run of the schedule {schedule.recurring_run_id}", started)

    def told(self) -> list[dict[str, Any]]:
        """Returns the reports that the receiver has received."""
        return [json.loads(line) for line in self.log(receiver.NAME).splitlines() if line.startswith("{")]


def waited(what: str, found: Callable[[], Result | None]) -> Result:
    """Waits until something is found, and returns it.

    Args:
      what: the thing to wait for, for the message.
      found: returns it once it is there.
    """
    end = time.monotonic() + 60 * LONGEST_MINUTES
    while (result := found()) is None:
        assert time.monotonic() < end, f"waited for {what} for {LONGEST_MINUTES} minutes, without success"
        time.sleep(POLL_SECONDS)
    return result


def _report(log: str) -> dict[str, Any]:
    """Returns the report that EndRun printed; an empty one if it failed before that."""
    told = [json.loads(line) for line in log.splitlines() if line.startswith('{"run"')]
    return next((one for one in told if one["event"] == "ended"), {})


@contextlib.contextmanager
def tidied(cluster: Cluster) -> Iterator[None]:
    """Removes what the block made: its runs, its schedule, the receiver, and its files on the volume.

    Args:
      cluster: the one to tidy.
    """
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_remove_files, cluster)
        for kind, name in (("secret", cluster.settings.cluster.settings_secret), *receiver.MADE):
            cleanup.callback(cluster.delete, kind, name)
        cleanup.callback(_end_runs, cluster)
        yield


def _end_runs(cluster: Cluster) -> None:
    """Ends the schedule, and the runs that are still going on, so that nobody waits for them."""
    settings = cluster.settings
    # If nothing could be uploaded, there is no such pipeline
    with contextlib.suppress(UserError), client.connected(settings) as connected:
        for run in runs.latest(connected, settings, client.find_pipeline_id(connected, settings)):
            if run.state not in ENDED:
                runs.stop(connected, settings, run.run_id)
        unschedule(connected, settings)


def _remove_files(cluster: Cluster) -> None:
    if not cluster.ended:  # no run got far enough to write any
        return
    folders = [str(cluster.settings.cluster.mount / folder / cluster.settings.name) for folder in FOLDERS]
    with (
        visitor.visiting(cluster.settings, with_settings=False) as pod,
        visitor.program(cluster.settings, pod, "rm", "-rf", *folders),
    ):
        pass
