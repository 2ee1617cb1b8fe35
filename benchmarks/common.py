"""What the benchmarks share: data prepared by the pipeline's own components, and how results are printed and stored."""

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.serving_check.probe import peak_gb
from graftline.base.code import revision
from graftline.base.paths import PROJECT
from graftline.settings.load import CONFIG_VARIABLE, load
from graftline.settings.settings import Settings

RESULTS = PROJECT / "benchmarks" / "results.jsonl"


@dataclass(frozen=True)
class Prepared:
    """The examples of cats_vs_dogs and their Transform graph, with the settings that made them."""

    settings: Settings
    examples: str
    transform: str


def load_settings(config: str, images: int | None, root: str) -> Settings:
    """Returns a configuration that is limited to this many images and runs in its own folder."""
    os.environ[CONFIG_VARIABLE] = config
    loaded = load()
    data = loaded.data.model_copy(update={"max_examples": images})
    run = loaded.run.model_copy(update={"root": Path(root), "serving_dir": Path(root, "serving")})
    return loaded.model_copy(update={"data": data, "run": run})


@contextmanager
def prepared(config: str, images: int | None) -> Iterator[Prepared]:
    """Runs the pipeline up to Transform, in a temporary folder.

    Args:
      config: name of a configuration.
      images: how many, None for all.
    """
    from graftline.base import console

    console.quiet("warning")
    from tfx.dsl.compiler.compiler import Compiler

    from graftline.runs import store, summary
    from graftline.runs.runner import LocalRunner
    from pipeline import create_pipeline

    with tempfile.TemporaryDirectory() as root:
        loaded = load_settings(config, images, root)
        dag = Compiler().compile(create_pipeline(loaded))
        names = [node.pipeline_node.node_info.id for node in dag.nodes]
        del dag.nodes[names.index("Transform") + 1 :]
        run_id = LocalRunner(loaded).run_with_ir(dag)
        nodes = summary.read(loaded, run_id)
        made = [store.made(nodes, output) for output in (store.EXAMPLES, store.Output("Transform", "transform_graph"))]
        examples, graph = (artifact.uri for artifact in made if artifact)
        yield Prepared(loaded, examples, graph)


def train(data: Prepared, loaded: Settings, folder: str) -> dict[str, Any]:
    """Trains as the pipeline's Trainer does, and returns the history that it writes.

    Args:
      data: what to train on; the features are cached below its settings' run root.
      loaded: settings of the model, the prefix and the training.
      folder: where to write the model and the history.
    """
    from tfx.components.trainer.fn_args_utils import FnArgs

    from components.trainer.run_fn import run_fn
    from graftline.artifacts.history import HISTORY_FILE

    run_fn(
        FnArgs(
            train_files=[f"{data.examples}/Split-train/*"],
            transform_graph_path=data.transform,
            serving_model_dir=f"{folder}/serving",
            model_run_dir=f"{folder}/run",
            custom_config={
                "model": loaded.model.model_dump(),
                "prefix": loaded.prefix.model_dump(),
                "training": loaded.training.model_dump(),
                "work_dir": str(data.settings.work_dir),
            },
        )
    )
    return json.loads(Path(folder, "run", HISTORY_FILE).read_text())


def ask(module: str, arguments: list[str]) -> dict[str, Any]:
    """Runs one side of a benchmark in its own process, so that it starts fresh, and returns its answer."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
    if process.returncode:
        raise SystemExit(f"{module} failed with status {process.returncode}; its error is above.")
    return json.loads(line)


def answer(figures: dict[str, Any]) -> None:
    """Gives a side's figures, with its peak memory, to the process that asked."""
    print(json.dumps(figures | {"peak_gb": peak_gb()}), flush=True)


def tell(name: str, **figures: Any) -> None:
    """Prints a result as one line of JSON and appends it, with revision and machine, to `results.jsonl`."""
    result = {"name": name, **figures}
    print(json.dumps(result), flush=True)
    about = {"revision": revision(), "machine": machine()}
    with RESULTS.open("a") as file:
        file.write(json.dumps(result | about) + "\n")


def machine() -> str:
    """Returns the machine's processor, cores and memory."""
    import psutil

    model = platform.processor()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        features = next(line for line in lines if line.startswith("flags")).split()
        model += " with " + next(kind for kind in ("avx512_bf16", "avx512f", "avx2", "sse2") if kind in features)
    return f"{model}, {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB"
