"""Runs at the same time in one folder, which are killed again and again."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from graftline.base.paths import PROJECT
from graftline.runs import store
from graftline.serving import pushes, versions
from graftline.settings.load import CONFIG_VARIABLE
from tests.past import settings_of

KILLS = 20
LONGEST = 1500  # seconds
SMALL = {
    "GRAFTLINE_DATA__MAX_EXAMPLES": "500",
    "GRAFTLINE_MODEL__IMAGE_SIZE": "64",
    "GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "4",
    "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "1",
    "GRAFTLINE_TRAINING__CHECKPOINT_MINUTES": "0.01",
    "GRAFTLINE_GATE__MIN_ACCURACY": "0",
    "GRAFTLINE_GATE__MAX_ACCURACY_DROP": "1",
    "GRAFTLINE_GATE__MIN_TEST_EXAMPLES": "1",
    "GRAFTLINE_RUN__WAIT_MINUTES": "30",
}


@dataclass(eq=False)
class Person:
    """Somebody who repeats a command until it has done its work.

    Attributes:
      name: of the pipeline.
      root: where all runs are kept.
      log: what was printed.
      kills: how often the run was killed.
    """

    name: str
    root: Path
    log: Path
    kills: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Starts a run."""
        places = {"NAME": self.name, "RUN__ROOT": str(self.root), "RUN__SERVING_DIR": str(self.root / "serving")}
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GRAFTLINE_")}
        given = SMALL | {CONFIG_VARIABLE: "digits"} | {f"GRAFTLINE_{key}": value for key, value in places.items()}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "pipeline.py"],
                cwd=PROJECT,
                env=inherited | given,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def status(self) -> int | None:
        """Returns the exit status of the run; None while it is running."""
        assert self.process
        return self.process.poll()

    def kill(self) -> None:
        """Kills the run with its children, and starts it again."""
        assert self.process
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.kills += 1
        self.start()


@contextmanager
def at_work(persons: list[Person]) -> Iterator[None]:
    for person in persons:
        person.start()
    try:
        yield
    finally:
        for person in persons:
            if person.process and person.status() is None:
                os.killpg(person.process.pid, signal.SIGKILL)
                person.process.wait()


@pytest.mark.faults
@pytest.mark.timeout(LONGEST + 60)
def test_runs_at_once_that_are_killed_at_random_end_right_and_push_one_version_each(tmp_path):
    draw = random.Random(17)
    persons = [Person(name, tmp_path, tmp_path / f"{number}.log") for number, name in enumerate(["one", "one", "two"])]
    with at_work(persons):
        until = time.monotonic() + LONGEST
        while sum(person.kills for person in persons) < KILLS:
            assert time.monotonic() < until
            time.sleep(draw.uniform(3, 12))
            going_on = [person for person in persons if person.status() is None]
            for person in set(persons) - set(going_on):
                assert person.status() == 0, person.log.read_text()
                person.start()
            if going_on:
                draw.choice(going_on).kill()
        for person in persons:
            assert person.process
            assert person.process.wait(until - time.monotonic()) == 0, person.log.read_text()
    for person in persons:
        told = person.log.read_text()
        assert "Traceback" not in told
        assert re.search(r"Pushed to|an earlier run pushed this model", told.splitlines()[-1])
    for name in ("one", "two"):
        directory = tmp_path / "serving" / name
        (version,) = versions.versions(directory)
        assert [push.version for push in pushes.read(directory)] == [version]
        with store.opened(settings_of(tmp_path, name=name)) as opened:
            pushed = [
                one for one in opened.get_artifacts_by_type("PushedModel") if one.custom_properties["pushed"].int_value
            ]
        assert {one.custom_properties["pushed_version"].string_value for one in pushed} == {str(version)}
