"""Draws the DAG of `pipeline.py`, with every optional node, into `docs/images/dag.svg`: `make docs`.

An arrow leads from a node to one that waits for it. Arrows that follow from others are left out.
"""

import tempfile
from pathlib import Path

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

from graftline.base.paths import PROJECT
from graftline.runs.stages import stages
from graftline.settings.settings import Settings
from pipeline import create_pipeline

PICTURE = PROJECT / "docs/images/dag.svg"
COLOURS = {"prepare": "#d7e8f7", "train": "#fbe3c3", "release": "#d9efd6"}
OPTIONAL = {"Tuner", "Exporter", "UnlabelledExampleGen", "BulkInferrer", "PredictionsToTable"}
WIDTH, HEIGHT = 2.1, 0.5  # of a node, in inches
ACROSS, DOWN = 2.4, 0.85  # from node to node


def waits() -> dict[str, set[str]]:
    """Returns each node with those that it waits for, in topological order, without what others of them imply."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "photo.jpg").touch()
        changes = {
            "name": "digits",
            "data": {"dataset": "digits"},
            "gate": {"min_accuracy": 0.5},
            "tuning": {"trials": 1},
            "exports": ["tflite_fp16"],
            "bulk": {"folder": folder},
            "run": {"root": folder, "serving_dir": f"{folder}/serving"},
        }
        settings = Settings.model_validate(changes)
        nodes = create_pipeline(settings).components
    direct = {node.id: {before.id for before in node.upstream_nodes} for node in nodes}
    above: dict[str, set[str]] = {}
    for name, before in direct.items():
        above[name] = before.union(*(above[one] for one in before))
    return {name: before - set().union(*(above[one] for one in before)) for name, before in direct.items()}


def places(edges: dict[str, set[str]]) -> dict[str, tuple[float, float]]:
    """Returns where the middle of each node is: below all that it waits for, and as near to them as it can be."""
    levels: dict[str, int] = {}
    for name, before in edges.items():
        levels[name] = max((levels[one] + 1 for one in before), default=0)
    for name in [name for name, before in edges.items() if not before]:
        levels[name] = min(levels[other] for other, before in edges.items() if name in before) - 1
    where: dict[str, tuple[float, float]] = {}
    for level in sorted(set(levels.values())):
        row = [name for name in edges if levels[name] == level]
        row.sort(key=lambda name: _mean([where[one][0] for one in edges[name]]))
        for number, name in enumerate(row):
            where[name] = (number - (len(row) - 1) / 2) * ACROSS, -level * DOWN
    return where


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else ACROSS


def draw(picture: Path) -> None:
    """Writes the picture into a file."""
    edges = waits()
    where = places(edges)
    stage_of = {name: stage for stage, names in stages(list(edges)).items() for name in names}
    matplotlib.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "graftline", "font.family": "sans-serif"}
    across, down = ([point[axis] for point in where.values()] for axis in (0, 1))
    size = max(across) - min(across) + WIDTH + 0.2, max(down) - min(down) + HEIGHT + 0.2
    figure, axes = pyplot.subplots(figsize=size)
    figure.subplots_adjust(0, 0, 1, 1)
    for name, (x, y) in where.items():
        box = pyplot.Rectangle(
            (x - WIDTH / 2, y - HEIGHT / 2),
            WIDTH,
            HEIGHT,
            facecolor=COLOURS[stage_of[name]],
            edgecolor="#444444",
            zorder=2,
            linestyle="--" if name in OPTIONAL else "-",
        )
        axes.add_patch(box)
        axes.text(x, y, name, zorder=3, ha="center", va="center", fontsize=11)
        for before in sorted(edges[name]):
            x_before, y_before = where[before]
            start, end = (x_before, y_before - HEIGHT / 2), (x, y + HEIGHT / 2)
            arrow = {"arrowstyle": "->", "color": "#444444", "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", end, start, arrowprops=arrow, zorder=1)
    axes.set(xlim=(min(across) - WIDTH / 2 - 0.1, max(across) + WIDTH / 2 + 0.1))
    axes.set(ylim=(min(down) - HEIGHT / 2 - 0.1, max(down) + HEIGHT / 2 + 0.1))
    axes.axis("off")
    figure.savefig(picture, metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    draw(PICTURE)
