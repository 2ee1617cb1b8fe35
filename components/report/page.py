"""The report as one page: self-contained HTML, made from the templates next to this module."""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import jinja2
import numpy as np
from markupsafe import Markup

from components.report import graph, images, plots
from components.report.content import Data, Gallery, GalleryImage, Numbers, Phase, Report, Slice, Verdict
from components.report.images import Thumbnail

MOST_CLASSES = 40  # of the largest confusion matrix that is shown whole
MOST_CONFUSED = 10  # pairs of classes


class Shown(NamedTuple):
    """An image as the page shows it."""

    image: GalleryImage
    thumbnail: Thumbnail
    heat: str | None  # a `data:` URI


class Confused(NamedTuple):
    """Two classes, one of which was mistaken for the other."""

    true: str
    predicted: str
    images: int
    share: float  # of the images of the true class


def render(report: Report, model_path: str | None) -> str:
    """Returns the report as one page of HTML, without references to other files.

    Args:
      report: what the page says.
      model_path: the SavedModel that the report is about, which draws the heat maps; None for no heat maps.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("components.report"),
        autoescape=True,  # names of files and classes may contain anything
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "points": _points,
        "size": _size,
        "seconds": _seconds,
        "signed": _signed,
    }
    values = {
        name: getattr(report, name) for name in ("verdict", "phases", "numbers", "data", "facts", "exports", "advice")
    }
    style, script = (Markup(_source(environment, name)) for name in ("style.css", "script.js"))
    return environment.get_template("report.html.j2").render(
        **values,
        **_of_test(report.numbers),
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        outcome=outcome(report.verdict),
        overall=report.numbers.overall,
        epochs=list(_epochs(report.phases)),
        plots=_plots(report),
        galleries=show(report.galleries, model_path),
        sizes=_sizes(report.data),
        graph=graph.layout(report.facts.steps),
        box=(graph.WIDTH, graph.HEIGHT),
        settings=list(_flat(report.facts.settings)),
        serving=list(_flat(report.facts.serving)),
    )


def _source(environment: jinja2.Environment, name: str) -> str:
    assert environment.loader
    return environment.loader.get_source(environment, name)[0]


def outcome(verdict: Verdict) -> str:
    """Returns the verdict in a few words."""
    if not verdict.blessed:
        return "Not blessed"
    return "Blessed" if verdict.servable else "Blessed, but cannot be served"


def _epochs(phases: list[Phase]) -> Iterator[tuple[int, int, float, float, float, float]]:
    number = 0
    for phase in phases:
        for values in zip(phase.accuracy, phase.val_accuracy, phase.loss, phase.val_loss, strict=True):
            number += 1
            yield number, phase.number, *values


def _plots(report: Report) -> dict[str, plots.Plot]:
    of_advice = {"advice": plots.advice(report.advice.learnt)} if report.advice else {}
    return of_advice | {
        "accuracy": plots.learning(report.phases, "accuracy"),
        "loss": plots.learning(report.phases, "loss"),
        "roc": plots.roc(report.numbers.roc),
        "precision_recall": plots.precision_recall(report.numbers.precision_recall),
        "reliability": plots.reliability(report.numbers.calibration),
        "sizes": plots.sizes(report.data),
    }


def _of_test(numbers: Numbers) -> dict[str, Any]:
    """Returns what the page shows about the test split besides the numbers themselves."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for part in numbers.slices:
        groups[part.group].append(part)
    lowest = min((part.interval[0] for part in numbers.slices), default=0.0)
    return {
        "confusion": numbers.confusion if len(numbers.classes) <= MOST_CLASSES else None,
        "confused": most_confused(numbers),
        "slices": dict(groups),
        "scale_from": np.floor(10 * lowest) / 10 if lowest < 1 else 0.9,
        "roc_areas": {curve.name: curve.area for curve in numbers.roc},
        "precision_recall_areas": {curve.name: curve.area for curve in numbers.precision_recall},
    }


def most_confused(numbers: Numbers) -> list[Confused]:
    """Returns the pairs of classes that are confused most often, each direction counted separately."""
    counts = np.array(numbers.confusion)
    of_class = counts.sum(axis=1)
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:MOST_CONFUSED]
    found = [
        (row, column, counts[row, column]) for row, column in zip(*np.unravel_index(order, counts.shape), strict=True)
    ]
    return [
        Confused(numbers.classes[row], numbers.classes[column], int(count), float(count / of_class[row]))
        for row, column, count in found
        if count
    ]


def show(galleries: list[Gallery], model_path: str | None) -> list[tuple[Gallery, list[Shown]]]:
    """Returns galleries with their images as the page shows them.

    Args:
      galleries: may share images.
      model_path: as for `render`.
    """
    encoded = list(dict.fromkeys(item.image for gallery in galleries for item in gallery.images))
    thumbnails = {image: images.thumbnail(image) for image in encoded}
    maps = images.heat_maps(model_path, encoded) if model_path else None
    heats = {} if maps is None else {image: images.overlay(found) for image, found in zip(encoded, maps, strict=True)}
    return [
        (
            gallery,
            [Shown(item, thumbnails[item.image], heats.get(item.image)) for item in gallery.images],
        )
        for gallery in galleries
    ]


def _sizes(data: Data) -> list[tuple[str, int, int, int]]:
    """Returns the smallest, median and largest width and height."""
    sides = [("width", data.widths), ("height", data.heights)]
    return [(name, int(side.min()), int(np.median(side)), int(side.max())) for name, side in sides if len(side)]


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields nested values under names such as `training.phase_1.epochs`."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _percent(value: float, digits: int = 2) -> str:
    return _signed(f"{100 * value:.{digits}f} %")


def _points(value: float) -> str:
    return _signed(f"{100 * value:+.2f} points")


def _signed(number: str) -> str:
    return number.replace("-", "\N{MINUS SIGN}")


def _size(number: float) -> str:
    """Returns a number of bytes in a readable unit."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.2f} GB"


def _seconds(number: float) -> str:
    return f"{number:.1f} s" if number < 60 else f"{int(number) // 60} min {int(number) % 60} s"
