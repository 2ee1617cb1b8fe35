"""Time and memory of each component as the data grows: `python -m benchmarks.pipeline [--images N N N]`.

Runs the whole pipeline of cats_vs_dogs.yaml on each number of images, each time in its own process and an empty folder.
Peak memory is that of the whole process while a component runs. `growth` has the exponent of time between the two largest
sizes, which is 1 if time doubles with the data, and `memory`, the relative growth of peak memory between them.
"""

import argparse
import math
import os
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import common
from graftline.base.paths import PREFIX, PROJECT
from graftline.settings.load import CONFIG_VARIABLE

CONFIG = "cats_vs_dogs"
Components = dict[str, dict[str, float]]  # figures by component


def main() -> None:
    """Measures each size, and reports times, memory and how they grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[1_000, 5_000, 23_262], help="sizes, smallest first")
    sizes = parser.parse_args().images
    runs = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as root:
            runs[size] = run(root, size, {"DATA__MAX_EXAMPLES": str(size)})
    growth = growths(sizes[-2], sizes[-1], runs) if len(sizes) > 1 else {}
    overhead = {size: round(_all_but_the_trainer(figures), 1) for size, figures in runs.items()}
    common.tell("pipeline", all_but_the_trainer_s=overhead, growth=growth, components=runs)


def _all_but_the_trainer(run: Components) -> float:
    return sum(figures["seconds"] for name, figures in run.items() if name != "Trainer")


def run(root: str, size: int, changes: dict[str, str]) -> Components:
    """Runs the whole pipeline in an empty folder.

    Args:
      root: the folder.
      size: number of images.
      changes: settings, by the names of their variables without the prefix.

    Returns:
      Figures for each component that took time.
    """
    changes = changes | {"RUN__ROOT": root, "RUN__SERVING_DIR": f"{root}/serving"}
    environment = os.environ | {PREFIX + key: value for key, value in changes.items()} | {CONFIG_VARIABLE: CONFIG}
    subprocess.run([sys.executable, "pipeline.py"], cwd=PROJECT, env=environment, check=True)
    return {
        node.name: {
            "seconds": round(node.seconds, 1),
            "peak_gb": round(node.peak_bytes / 1e9, 2),
            "images_per_s": round(size / node.seconds),
        }
        for node in _nodes(root)
        if node.seconds >= 0.1
    }


def _nodes(root: str) -> list[Any]:
    from graftline.runs import store, summary

    loaded = common.load_settings(CONFIG, None, root)
    with store.opened(loaded) as opened:
        (run,) = opened.get_contexts_by_type("pipeline_run")
    return summary.read(loaded, run.name)


def growths(small: int, large: int, runs: dict[int, Components]) -> dict[str, dict[str, float]]:
    """Returns how the time and memory of each component grow from one size to another.

    Args:
      small: number of images of the first size.
      large: number of images of the second size.
      runs: figures by size.
    """
    both = [name for name in runs[large] if name in runs[small]]
    return {name: _growth(math.log(large / small), runs[small][name], runs[large][name]) for name in both}


def _growth(factor: float, before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    exponent = math.log(after["seconds"] / before["seconds"]) / factor
    return {"exponent": round(exponent, 2), "memory": round(after["peak_gb"] / before["peak_gb"] - 1, 3)}


if __name__ == "__main__":
    main()
