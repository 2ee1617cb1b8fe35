"""The lineage as a small graph: where its boxes are drawn, and the lines between them."""

from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

from components.report.content import Step

ACROSS, DOWN = 158, 78  # from the middle of one box to that of the next, in units of the drawing
WIDTH, HEIGHT = 142, 44  # of a box
EDGE = 4  # margin of the drawing


class Spot(NamedTuple):
    """A place in a row: that of a step, or one where a line passes."""

    row: int
    name: str


class Box(NamedTuple):
    """A step, and the middle of its box."""

    step: Step
    x: float
    y: float


class Graph(NamedTuple):
    """A drawing.

    Attributes:
      boxes: the steps.
      lines: SVG path data from each step to those that read its outputs.
      width, height: of the drawing.
    """

    boxes: list[Box]
    lines: list[str]
    width: float
    height: float


def layout(steps: list[Step]) -> Graph:
    """Returns a drawing in which each step is below those whose outputs it read.

    A line that others imply is left out: if B read A, and C read both, there is none from A to C.

    Args:
      steps: each after those whose outputs it read.
    """
    by_name = {step.name: step for step in steps}
    parents = _closest(by_name)
    row = _rows(parents)
    routes = [_route(parent, child, row) for child in parents for parent in parents[child]]
    middles = _middles([Spot(row[name], name) for name in by_name], routes)
    right, bottom = (max((middle[axis] for middle in middles.values()), default=0) for axis in (0, 1))
    boxes = [Box(step, *middles[Spot(row[name], name)]) for name, step in by_name.items()]
    return Graph(
        boxes, [_line(route, middles) for route in routes], right + WIDTH / 2 + EDGE, bottom + HEIGHT / 2 + EDGE
    )


def _closest(by_name: dict[str, Step]) -> dict[str, list[str]]:
    """Returns the inputs of each step that are not also inputs of its other inputs, however far back."""
    before: dict[str, set[str]] = {}
    closest = {}
    for name, step in by_name.items():
        known = [parent for parent in step.inputs if parent in before]
        implied = {far for parent in known for far in before[parent]}
        before[name] = implied | set(known)
        closest[name] = [parent for parent in known if parent not in implied]
    return closest


def _rows(parents: dict[str, list[str]]) -> dict[str, int]:
    """Returns each step's row: the one after its last input's, or just before its first reader if it has no inputs."""
    row: dict[str, int] = {}
    for name, found in parents.items():
        row[name] = max((row[parent] + 1 for parent in found), default=0)
    for name, found in parents.items():
        readers = [row[child] for child, inputs in parents.items() if name in inputs]
        row[name] = min(readers) - 1 if readers and not found else row[name]
    return row


def _route(parent: str, child: str, row: dict[str, int]) -> list[Spot]:
    between = [Spot(number, f"{parent} to {child}") for number in range(row[parent] + 1, row[child])]
    return [Spot(row[parent], parent), *between, Spot(row[child], child)]


def _middles(steps: list[Spot], routes: list[list[Spot]]) -> dict[Spot, tuple[float, float]]:
    """Returns the middle of each spot; rows are centered, and each is ordered by what is above it."""
    above: dict[Spot, list[Spot]] = defaultdict(list)
    rows: dict[int, dict[Spot, None]] = defaultdict(dict)
    for spot in steps:
        rows[spot.row][spot] = None
    for upper, lower in (pair for route in routes for pair in pairwise(route)):
        above[lower].append(upper)
        rows[lower.row][lower] = None
    widest = max(map(len, rows.values()), default=1)
    middles: dict[Spot, tuple[float, float]] = {}
    for number in sorted(rows):
        wished = {spot: [middles[upper][0] for upper in above[spot]] or [0.0] for spot in rows[number]}
        ordered = sorted(wished, key=lambda spot: sum(wished[spot]) / len(wished[spot]))
        first = (widest - len(ordered)) / 2
        for place, spot in enumerate(ordered):
            middles[spot] = (EDGE + WIDTH / 2 + (first + place) * ACROSS, EDGE + HEIGHT / 2 + number * DOWN)
    return middles


def _line(route: list[Spot], middles: dict[Spot, tuple[float, float]]) -> str:
    """Returns a path from the lower edge of the first box to the upper edge of the last, vertical where it passes a row."""
    x, y = middles[route[0]]
    path = [f"M{x:g} {y + HEIGHT / 2:g}"]
    for upper, lower in pairwise(route):
        (x0, y0), (x1, y1) = middles[upper], middles[lower]
        halfway = (y0 + y1) / 2
        path.append(f"C{x0:g} {halfway:g} {x1:g} {halfway:g} {x1:g} {y1 - HEIGHT / 2:g}")
        path += [f"V{y1 + HEIGHT / 2:g}"] if lower != route[-1] else []
    return "".join(path)
