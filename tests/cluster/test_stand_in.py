"""Tries the acceptance test on a stand-in for a cluster: it passes there, and it notices what does not hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from graftline.base.paths import PROJECT
from graftline.network import weights
from tests.cluster.stand_in import StandIn, reaches, standing_in
from tests.kubeflow.machines import PASSWORD, mariadb, podman

pytestmark = pytest.mark.timeout(3600)

IMAGE, NAMESPACE = "localhost/graftline:this-machine", "graftline"
SECRETS = {"graftline-mysql": {"password": PASSWORD}}
ROW = re.compile(r"^(?P<row>[a-z].*?) {2,}(?P<result>passed|failed|error|skipped) +\d+ *(?P<seen>.*)$", re.MULTILINE)
ROWS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("cluster")
    for path in [made, *made.parents[:2]]:  # pytest's folders are private, and pods run as another user
        path.chmod(0o755)
    (made / "mount").mkdir()
    (made / "mount").chmod(0o777)
    return made


@pytest.fixture(scope="module")
def environment(folder) -> Iterator[dict[str, str]]:
    """The variables of a cluster's settings, with metadata in a MariaDB of its own."""
    if shutil.which("mariadbd") is None:
        pytest.skip("MariaDB is missing: apt-get install mariadb-server-core")
    weights.resolve("MobileNetV2", 64, "imagenet")  # as the image has them: pods have no network
    volume = folder / "mount"
    (volume / "database").mkdir()
    with mariadb(volume / "database") as socket:
        settings = {
            "MODEL__IMAGE_SIZE": "64",
            "CLUSTER__IMAGE": IMAGE,
            "CLUSTER__MOUNT": str(volume),
            "CLUSTER__RETRY_SECONDS": "1",
            "CLUSTER__MYSQL": json.dumps({"host": "", "socket": str(socket), "password": PASSWORD}),
        }
        yield {f"GRAFTLINE_{key}": value for key, value in settings.items()}


def stand_in(folder: Path, name: str, **known) -> StandIn:
    (folder / name).mkdir()
    cluster = {"namespace": NAMESPACE, "accounts": ["graftline"], "claims": ["graftline"], "images": [IMAGE]}
    return StandIn(folder / name, folder / "mount", podman() is not None, **cluster | {"secrets": SECRETS} | known)


def table(server: StandIn, environment: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Runs the acceptance test, and returns the result of each row and what it saw."""
    with standing_in(server) as found:
        asked = [sys.executable, "-m", "pytest", "-m", "cluster", "tests/cluster", "-p", "no:cacheprovider"]
        done = subprocess.run(
            asked, cwd=PROJECT, env=os.environ | environment | found, capture_output=True, text=True, check=False
        )
    print(done.stdout, done.stderr)
    return {match["row"]: (match["result"], match["seen"]) for match in ROW.finditer(done.stdout)}


def left(server: StandIn) -> list[str]:
    """Returns the remaining schedules, pods that belong to no run, policies, Secrets and files on the volume."""
    known = server.cluster.read()
    pods = [name for name, pod in server.cluster.pods().items() if "pipeline/runid" not in pod["metadata"]["labels"]]
    made = [name for name in (*known["policies"], *known["secrets"]) if "acceptance" in name]
    files = [str(path) for path in server._volume.glob("*/acceptance*")]
    return [*pods, *made, *files, *(one["display_name"] for one in server.kept["recurringruns"])]


@pytest.mark.stand_in
def test_every_row_holds_on_the_stand_in_and_nothing_is_left_behind(folder, environment):
    server = stand_in(folder, "sound")
    rows = table(server, environment)
    assert len(rows) == ROWS
    assert {row: found for row, found in rows.items() if found[0] != "passed"} == {}
    assert left(server) == []


@pytest.mark.stand_in
def test_a_cluster_that_runs_nothing_fails_the_first_row_and_the_others_say_what_they_need(folder, environment):
    server = stand_in(folder, "bare", secrets={})
    rows = table(server, environment)
    assert [result for result, _ in rows.values()] == ["failed"] + ["skipped"] * (ROWS - 1)
    assert "needs what the first run pushes" in rows["the end of each run is reported to the webhook"][1]
    assert left(server) == []


def test_without_a_cluster_every_row_is_skipped_and_says_what_to_give():
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
    asked = [sys.executable, "-m", "pytest", "-m", "cluster", "tests/cluster", "-p", "no:cacheprovider"]
    done = subprocess.run(asked, cwd=PROJECT, env=clean, capture_output=True, text=True, check=False)
    rows = ROW.findall(done.stdout)
    assert [result for _, result, _ in rows] == ["skipped"] * ROWS
    assert all("no cluster: ENDPOINT and IMAGE missing; make test-cluster" in seen for *_, seen in rows)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], False),
        ([{"from": [{"podSelector": {"matchLabels": {"run": "yes"}}}]}], True),
        ([{"from": [{"podSelector": {"matchLabels": {"run": "no"}}}]}], False),
        ([{"ports": [{"protocol": "TCP", "port": 81}]}], False),
        ([{"from": [{"namespaceSelector": {"matchLabels": {"run": "yes"}}}]}], False),
    ],
)
def test_a_pod_is_reached_where_a_policy_lets_it(rules, expected):
    policy = {"spec": {"podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress"], "ingress": rules}}
    assert reaches([policy], {"run": "yes"}, {"app": "a"}, 80) is expected
    assert reaches([policy], {"run": "yes"}, {"app": "b"}, 80)
