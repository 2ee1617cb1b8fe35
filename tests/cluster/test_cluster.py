"""What has to hold on any cluster with Kubeflow Pipelines: `make test-cluster ENDPOINT=… IMAGE=… [NAMESPACE=…]`.

It trains on a slice of the digits there, under a name that no other pipeline has, with the commands that a user calls. Each
test is a row of the table that is printed at the end. All rows but the first need what the first one pushed.
"""

import os
import re
import secrets

import pytest

from graftline.base.errors import UserError
from graftline.base.paths import PREFIX
from graftline.settings.load import load
from graftline.settings.settings import Settings
from tests.cluster import receiver
from tests.cluster.cluster import Cluster, End, tidied, waited

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(4 * 3600)]

NEEDED = {"CLUSTER__ENDPOINT": "ENDPOINT", "CLUSTER__IMAGE": "IMAGE"}
# Used unless the environment says otherwise: a short training on any node, with checkpoints that a killed pod leaves
SLICE = {
    "CONFIG": "digits",
    "DATA__MAX_EXAMPLES": "300",
    "TRAINING__PHASE_1__EPOCHS": "2",
    "TRAINING__PHASE_2__EPOCHS": "1",
    "TRAINING__CHECKPOINT_MINUTES": "0.01",
    "GATE__MIN_ACCURACY": "0",
    "GATE__MIN_TEST_EXAMPLES": "1",
    "CLUSTER__TRAINER__COUNT": "0",
    "CLUSTER__TRAINER__RESOURCES": '{"cpu": "1", "memory": "4Gi"}',
}
ALL, WITHOUT_TRAINING = ["prepare", "train", "release", "end-run"], ["prepare", "end-run"]
FRACTION = 0.75  # of the first run's time: pods still start, which takes most of it with so little training
OFTEN, NIGHTLY = "*/20 * * * * *", "0 0 3 * * *"
GOING_ON = re.compile(r"Resuming training.*")


@pytest.fixture(scope="module")
def settings():
    missing = [name for variable, name in NEEDED.items() if not os.environ.get(PREFIX + variable)]
    if missing:
        pytest.skip(
            f"no cluster: {' and '.join(missing)} missing; make test-cluster ENDPOINT=http://localhost:8888 "
            "IMAGE=registry.example/graftline [NAMESPACE=graftline]"
        )
    number = secrets.token_hex(3)
    own = {"NAME": f"acceptance_{number}", "CLUSTER__SETTINGS_SECRET": f"graftline-acceptance-{number}"}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in (SLICE | own).items():
            if key in own or PREFIX + key not in os.environ:
                patch.setenv(PREFIX + key, value)
        yield load()


@pytest.fixture(scope="module")
def cluster(settings: Settings):
    """The cluster, which reports the end of runs to a receiver of its own, if it lets one be made."""
    found = Cluster(settings)
    with tidied(found), pytest.MonkeyPatch.context() as patch:
        try:
            receiver.make(settings)
            found.address = waited("the receiver", lambda: receiver.address(settings))
            receiver.keep(settings, found.address)
        except UserError as error:
            found.no_receiver = str(error)
        else:
            patch.setenv(f"{PREFIX}CLUSTER__WEBHOOK", found.address)
        yield found


@pytest.fixture
def first(cluster) -> End:
    if cluster.first is None:
        pytest.skip("needs what the first run pushes, and it pushed nothing")
    return cluster.first


def test_the_first_run_pushes(cluster, record_property):
    end = cluster.end(cluster.start())
    record_property("seen", end)
    assert end.run.state == "SUCCEEDED", end
    assert end.tasks == ALL
    assert end.report["text"].startswith(f"{cluster.settings.name}: Pushed to "), end.report["text"]
    cluster.first = end


def test_the_same_again_changes_nothing_and_trains_nothing(cluster, first, record_property):
    end = cluster.end(cluster.start())
    record_property("seen", f"{end}, {end.seconds / first.seconds:.0%} of the first")
    assert (end.run.state, end.tasks) == ("SUCCEEDED", WITHOUT_TRAINING)
    assert "nothing was pushed" in end.report["text"]
    assert end.states()["Trainer"] == end.states()["Pusher"] == "cached"
    assert end.seconds < FRACTION * first.seconds, f"{end.seconds:.0f} s of {first.seconds:.0f}"


def test_a_threshold_that_cannot_be_met_is_evaluated_and_not_pushed(cluster, first, record_property):
    end = cluster.end(cluster.start("min_accuracy=0.9999"))
    record_property("seen", end)
    assert (end.run.state, end.tasks) == ("SUCCEEDED", WITHOUT_TRAINING)
    assert end.report["text"].startswith(f"{cluster.settings.name}: Not pushed"), end.report["text"]
    assert end.report["not_blessed_because"]
    assert (end.states()["Trainer"], end.states()["Evaluator"]) == ("cached", "done")


def test_force_retrain_trains_again(cluster, first, record_property):
    run = cluster.start("force_retrain=true")
    beside = cluster.start()  # for the next row, which would otherwise have to train again
    end = cluster.end(run)
    cluster.beside = beside, end
    record_property("seen", end)
    assert (end.run.state, end.tasks) == ("SUCCEEDED", ALL)
    assert end.states()["Trainer"] == "done"


def test_a_second_run_runs_alongside_the_first(cluster, first, record_property):
    if cluster.beside is None:
        pytest.skip("needs the run of force_retrain, and that did not end")
    run, other = cluster.beside
    end = cluster.end(run)
    record_property("seen", end)
    assert end.run.created_at < other.run.finished_at, "the first run had ended before the second was started"
    assert end.run.state == "SUCCEEDED", end
    assert end.report["text"] and "Failed" not in end.report["text"]


def test_the_trainer_resumes_where_its_pod_was_deleted_in_phase_2(cluster, first, record_property):
    run = cluster.start("phase_2_epochs=20")
    pod = cluster.pod(run, "train")
    waited("phase 2", lambda: "Phase 2: " in cluster.log(pod) or None)
    cluster.delete("pod", pod)
    end = cluster.end(run)
    assert end.run.state == "SUCCEEDED", (
        "a deleted pod was not tried again: set Argo's retryPolicy to OnError or Always, see docs/how-to/kubeflow-cluster.md"
    )
    (again,) = cluster.tries(run, "train")[-1:]
    assert again != pod
    went_on = GOING_ON.search(cluster.log(again))
    assert went_on, "the second try started from the beginning"
    record_property("seen", f"{went_on[0]} {end}")


def test_a_schedule_fires_and_is_replaced_while_its_run_goes_on(cluster, first, record_property):
    cluster.command("schedule", "--cron", OFTEN)
    (before,) = cluster.schedules()
    run = cluster.fired(before)
    cluster.command("schedule", "--cron", NIGHTLY)
    (after,) = cluster.schedules()
    end = cluster.end(run)
    record_property("seen", end)
    assert after.trigger.cron_schedule.cron == NIGHTLY and after.status == "ENABLED"
    assert after.created_at < end.run.finished_at, "its run had ended before the schedule was replaced"
    assert (end.run.state, end.tasks) == ("SUCCEEDED", WITHOUT_TRAINING)
    cluster.command("unschedule")
    assert cluster.schedules() == []


def test_the_end_of_each_run_is_reported_to_the_webhook(cluster, first, record_property):
    assert cluster.address, f"there is no receiver: {cluster.no_receiver}"
    told = {one["run"]: one["text"] for one in cluster.told()}
    record_property("seen", f"{len(told)} reports of {len(cluster.ended)} runs at {cluster.address}")
    assert told.items() >= {end.run.run_id: end.report["text"] for end in cluster.ended}.items()
