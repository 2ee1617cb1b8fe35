"""The plots of the page: SVG whose lines and text take the page's colors, in light and dark."""

import io
import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from components.report.content import Calibration, Curve, Data, Learnt, Phase

INK, QUIET, LINE = "#010001", "#010002", "#010003"  # placeholders that the page's colors replace
SERIES = ("#010011", "#010012", "#010013", "#010014", "#010015", "#010016")
THEME = {INK: "--ink", QUIET: "--quiet", LINE: "--line"} | {name: f"--s{i}" for i, name in enumerate(SERIES, 1)}
DASHES = ("-", "--", ":", "-.", (0, (8, 2)), (0, (1, 1)))  # so that lines can be told apart without colors
MARKERS = "os^Dv*"
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "graftline",  # the same plot gives the same SVG
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "lines.linewidth": 2,
}
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))
WIDE, SQUARE = (5.2, 3.2), (4.2, 3.7)  # inches
SCALE = 100  # most pixels per inch
RESOLUTION = 100  # scatter dots along each axis; points that would overlap become one dot


class Plot(NamedTuple):
    """A plot, and the names of its lines in the order of the page's series."""

    svg: Markup
    legend: list[str]


def learning(phases: Sequence[Phase], measure: Literal["accuracy", "loss"]) -> Plot:
    """Returns learning curves over all phases, with the start of fine-tuning marked.

    Args:
      phases: in order.
      measure: what to plot.
    """
    curves = [[value for phase in phases for value in getattr(phase, name)] for name in (measure, f"val_{measure}")]

    def draw(axes: Axes) -> None:
        for curve, colour, dashes in zip(curves, SERIES, DASHES, strict=False):
            axes.plot(range(1, len(curve) + 1), curve, color=colour, linestyle=dashes, marker="o", markersize=3.5)
        if len(phases) > 1:
            start = len(phases[0].loss) + 0.5
            axes.axvline(start, color=QUIET, linewidth=1)
            across = axes.get_xaxis_transform()
            axes.text(start, 1.01, "start of fine-tuning", ha="center", va="bottom", fontsize=9, transform=across)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch")
        if measure == "accuracy":
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        else:
            axes.set_ylim(bottom=0)

    label = f"{measure.capitalize()} by epoch, on the training and validation splits"
    return Plot(_svg(f"learning-{measure}", label, WIDE, draw), ["training", "validation"])


def advice(learnt: Sequence[Learnt]) -> Plot:
    """Returns accuracy by the number of images that heads learned from."""
    images, accuracy = [one.images for one in learnt], np.array([one.accuracy for one in learnt])
    low, high = np.transpose([one.interval for one in learnt])

    def draw(axes: Axes) -> None:
        axes.fill_between(images, low, high, color=SERIES[0], alpha=0.15, linewidth=0)
        axes.plot(images, accuracy, color=SERIES[0], marker="o", markersize=4)
        axes.set_xlim(left=0)
        axes.set_xlabel("images learned from")
        axes.yaxis.set_major_formatter(PercentFormatter(1))

    told = ", ".join(f"{one.accuracy:.1%} from {one.images:,}" for one in learnt)
    return Plot(_svg("advice", f"Accuracy by number of images learned from: {told}", WIDE, draw), [])


def worst(curves: Sequence[Curve]) -> list[Curve]:
    """Returns the curves with the smallest areas, as many as can be told apart."""
    return sorted(curves, key=lambda curve: curve.area)[: len(SERIES)]


def roc(curves: Sequence[Curve]) -> Plot:
    """Returns ROC curves of the classes that are hardest to tell from the others."""
    return _rates("roc", "ROC curves", curves, ("false positive rate", "true positive rate"), chance=True)


def precision_recall(curves: Sequence[Curve]) -> Plot:
    """Returns precision-recall curves of the classes that are hardest to tell from the others."""
    return _rates("precision-recall", "Precision by recall", curves, ("recall", "precision"), chance=False)


def _rates(name: str, title: str, curves: Sequence[Curve], axis_labels: tuple[str, str], *, chance: bool) -> Plot:
    shown = worst(curves)

    def draw(axes: Axes) -> None:
        if chance:
            axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
        for curve, colour, dashes in zip(shown, SERIES, DASHES, strict=False):
            axes.plot(curve.x, curve.y, color=colour, linestyle=dashes)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=axis_labels[0], ylabel=axis_labels[1])

    areas = ", ".join(f"{curve.area:.4f} for {curve.name}" for curve in shown)
    legend = [f"{curve.name}, area {curve.area:.4f}" for curve in shown]
    return Plot(_svg(name, f"{title}, areas {areas}", SQUARE, draw), legend)


def reliability(calibration: Calibration) -> Plot:
    """Returns accuracy by confidence; the more images a dot stands for, the larger it is."""
    confidence, accuracy = np.array(calibration.confidence), np.array(calibration.accuracy)
    examples = np.array(calibration.examples)

    def draw(axes: Axes) -> None:
        lowest = min(confidence.min(initial=1), accuracy.min(initial=1)) - 0.05
        axes.plot([lowest, 1], [lowest, 1], color=QUIET, linewidth=0.8)
        axes.scatter(confidence, accuracy, 16 + 160 * examples / examples.max(initial=1), color=SERIES[0], alpha=0.75)
        axes.set(xlim=(lowest, 1.03), ylim=(lowest, 1.03), xlabel="confidence", ylabel="accuracy")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1))

    label = f"Accuracy by confidence; the expected calibration error is {calibration.ece:.4f}"
    return Plot(_svg("reliability", label, SQUARE, draw), [])


def sizes(data: Data) -> Plot:
    """Returns width and height of the images, by class if there are few classes."""
    classes = sorted(set(data.size_classes))
    names = classes if len(classes) <= len(SERIES) else ["all classes"]
    points = np.stack([data.widths, data.heights], axis=1)
    step = max(points.max(initial=1) // RESOLUTION, 1)
    of_class = np.array(data.size_classes)

    def draw(axes: Axes) -> None:
        for name, colour, marker in zip(names, SERIES, MARKERS, strict=False):
            mine = points[of_class == name] if len(names) == len(classes) else points
            spots, counts = np.unique(mine // step * step, axis=0, return_counts=True)
            area = 10 + 90 * counts / counts.max(initial=1)
            axes.scatter(spots[:, 0], spots[:, 1], area, color=colour, marker=marker, alpha=0.55, linewidths=0)
        axes.set(xlabel="width in pixels", ylabel="height in pixels")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)

    return Plot(_svg("sizes", "Width and height of the images", WIDE, draw), names)


def _svg(name: str, label: str, size: tuple[float, float], draw: Callable[[Axes], None]) -> Markup:
    """Returns a drawing as an element of a page.

    Args:
      name: makes its ids differ from those of the page's other plots.
      label: describes the plot to people who cannot see it.
      size: in inches.
      draw: draws on the axes.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.subplots())
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=NO_METADATA)
    found = re.search(r'<svg [^>]*viewBox="([^"]*)"[^>]*>(.*)</svg>', written.getvalue(), re.DOTALL)
    assert found
    body = re.sub(r"<style.*?</style>", "", found[2], flags=re.DOTALL)  # it would apply to the whole page
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body)
    for colour, variable in THEME.items():
        body = body.replace(colour, f"var({variable})")
    return Markup('<svg viewBox="{}" style="max-width: {:.0f}px" role="img" aria-label="{}">{}</svg>').format(
        found[1], SCALE * size[0], label, Markup(body)
    )
