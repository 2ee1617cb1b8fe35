"""A real cluster as its acceptance test asks it: by the project's own commands, the client of its server, and kubectl."""

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
LONGEST_MINUTES = 60  # of anything that is waited for: a node may have to be started, and the image fetched
FOLDERS = "pipelines", "serving"  # on the volume, with one of each pipeline


@dataclass(frozen=True)
class End:
    """How a run ended.

    Attributes:
      run: as the server has it.
      seconds: from its start to its end.
      tasks: those that had a pod, in the order they started; one that was tried again counts once.
      report: what EndRun printed of it.
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
    """The cluster that the settings name, and a pipeline of the test's own on it.

    Args:
      settings: with a name that no other pipeline has.

    Attributes:
      first: the end of the first run, where that pushed.
      beside: a run that was started while another went on, and the end of that.
      ended: the end of each run that was waited for.
      address: of the receiver of reports; empty where it could not be made.
      no_receiver: why it could not.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.first: End | None = None
        self.beside: tuple[str, End] | None = None
        self.ended: list[End] = []
        self.address = self.no_receiver = ""

    def command(self, *arguments: str) -> str:
        """Returns what one of the project's commands prints, as a user would call it."""
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
        """Returns a run as the server has it."""
        with client.connected(self.settings) as connected:
            return connected.get_run(run_id)

    def pod(self, run_id: str, task: str) -> str:
        """Waits until a task of a run has a pod that works, and returns its name."""

        def working() -> str | None:
            assert self.run(run_id).state not in ENDED, f"run {run_id} ended without a pod of {task}"
            pods = logs.pods(self.settings, run_id)
            return next((pod.name for pod in pods if pod.task == task and pod.phase == "Running"), None)

        return waited(f"a pod of {task} in run {run_id}", working)

    def tries(self, run_id: str, task: str) -> list[str]:
        """Returns the pods that are left of a task's tries, the last of them last."""
        return [pod.name for pod in logs.pods(self.settings, run_id) if pod.task.partition(",")[0] == task]

    def log(self, pod: str) -> str:
        """Returns what a pod of a task has printed so far."""
        return kubectl.ask(self.settings, f"read the log of {pod}", "logs", pod, f"--container={logs.CONTAINER}")

    def delete(self, kind: str, name: str) -> None:
        """Deletes something, as a user would who does not wait for it."""
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
        """Returns the reports that the receiver got."""
        return [json.loads(line) for line in self.log(receiver.NAME).splitlines() if line.startswith("{")]


def waited(what: str, found: Callable[[], Result | None]) -> Result:
    """Waits until something is found, and returns it.

    Args:
      what: is waited for, for the message.
      found: looks for it.
    """
    end = time.monotonic() + 60 * LONGEST_MINUTES
    while (result := found()) is None:
        assert time.monotonic() < end, f"{what} did not come within {LONGEST_MINUTES} minutes"
        time.sleep(POLL_SECONDS)
    return result


def _report(log: str) -> dict[str, Any]:
    """Returns what EndRun printed; nothing where it failed before that."""
    told = [json.loads(line) for line in log.splitlines() if line.startswith('{"run"')]
    return next((one for one in told if one["event"] == "ended"), {})


@contextlib.contextmanager
def tidied(cluster: Cluster) -> Iterator[None]:
    """Takes away what the block made: what it started, its schedule, the receiver, and its files on the volume.

    Args:
      cluster: what is tidied.
    """
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(_remove_files, cluster)
        for kind, name in (("secret", cluster.settings.cluster.settings_secret), *receiver.MADE):
            cleanup.callback(cluster.delete, kind, name)
        cleanup.callback(_end_runs, cluster)
        yield


def _end_runs(cluster: Cluster) -> None:
    """Ends the runs that go on, so that nobody waits for them, and the schedule."""
    settings = cluster.settings
    # Where nothing could be uploaded there is no such pipeline
    with contextlib.suppress(UserError), client.connected(settings) as connected:
        for run in runs.latest(connected, settings, client.find_pipeline_id(connected, settings)):
            if run.state not in ENDED:
                runs.stop(connected, settings, run.run_id)
        unschedule(connected, settings)


def _remove_files(cluster: Cluster) -> None:
    if not cluster.ended:  # no run got as far as to write any
        return
    folders = [str(cluster.settings.cluster.mount / folder / cluster.settings.name) for folder in FOLDERS]
    with (
        visitor.visiting(cluster.settings, with_settings=False) as pod,
        visitor.program(cluster.settings, pod, "rm", "-rf", *folders),
    ):
        pass
