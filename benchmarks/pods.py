"""Compares a run in pods with the same run on this machine: `python -m benchmarks.pods [--config digits]`.

Pods are containers if podman can run them, with metadata in a real MariaDB. The tests' stand-in for the server of Kubeflow
Pipelines executes the compiled pipeline. It starts no driver pods: their time is not included, but the printed number of
pods counts them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graftline.base.paths import PROJECT
from graftline.network import weights
from graftline.settings.load import CONFIG_VARIABLE, load
from kubeflow.compile import compile_pipeline
from tests.kubeflow.backend import Pipeline, Run
from tests.kubeflow.machines import PASSWORD, Pods, mariadb, podman

SECRETS = {"graftline-mysql": {"password": PASSWORD}}
RUNS = ("first run", "nothing changed")


def main() -> None:
    """Prints seconds here and in pods, their ratio, and the number of pods, for a first run and an unchanged second one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="digits")
    os.environ[CONFIG_VARIABLE] = parser.parse_args().config
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        here = [timed(run_here, place / "here")[0] for _ in RUNS]
        with cluster(place) as run_there:
            there = [timed(run_there, name.replace(" ", "-")) for name in RUNS]
    print(f"{'':16}  here, s  pods, s  ratio  pods")
    for name, local, (remote, count) in zip(RUNS, here, there, strict=True):
        print(f"{name:16}  {local:7.1f}  {remote:7.1f}  {remote / local:5.2f}  {count:4}")


def timed(action: Callable[[Any], Any], given: Any) -> tuple[float, Any]:
    """Returns how many seconds an action takes, and what it returns."""
    started = time.monotonic()
    made = action(given)
    return time.monotonic() - started, made


def run_here(root: Path) -> None:
    """Runs the pipeline as `graftline run` does."""
    places = {"GRAFTLINE_RUN__ROOT": str(root), "GRAFTLINE_RUN__SERVING_DIR": str(root / "serving")}
    subprocess.run([sys.executable, "pipeline.py"], cwd=PROJECT, env=os.environ | places, check=True, stdout=sys.stderr)


@contextmanager
def cluster(folder: Path) -> Iterator[Callable[[str], int]]:
    """Yields a function that runs the compiled pipeline under an id, and returns how many pods a server would make."""
    volume = folder / "volume"
    volume.mkdir()
    volume.chmod(0o777)
    (volume / "database").mkdir()
    with mariadb(volume / "database") as socket:
        os.environ |= {
            "GRAFTLINE_CLUSTER__IMAGE": "localhost/graftline:this-machine",
            "GRAFTLINE_CLUSTER__MOUNT": str(volume),
            "GRAFTLINE_CLUSTER__MYSQL": json.dumps({"host": "", "socket": str(socket), "password": PASSWORD}),
        }
        settings = load()
        model = settings.model
        weights.resolve(model.backbone, model.image_size, model.weights)  # pods have no network
        pipeline = Pipeline(compile_pipeline(settings, folder / "dag.yaml"), SECRETS)
        pods = Pods(folder, volume, podman() is not None)
        print(
            "Pods are containers." if pods.containers else "Pods are plain processes, because podman cannot run here."
        )

        def run(run_id: str) -> int:
            before = pipeline.drivers + len(pods.ran)
            assert pipeline.start(Run(run_id), pods.run)
            return pipeline.drivers + len(pods.ran) - before

        yield run


if __name__ == "__main__":
    main()
