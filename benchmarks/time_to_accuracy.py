"""Seconds until the accuracy that the tutorial's code ends with: `python -m benchmarks.time_to_accuracy`.

Each side runs in its own process from the same prepared examples, imports included: the tutorial's code with its own recipe,
20 epochs, and our Trainer with the recipe of cats_vs_dogs.yaml. `target` is the validation accuracy that the tutorial's code
ends with. `ratio` is the time of all its epochs, `theirs_s`, divided by the time until our first epoch that reached the
target; `ratio_to_first` instead takes the time until its own first epoch that did. The program draws both curves to
`output/time_to_accuracy.svg`.
"""

import argparse
import sys
import time
from typing import Any

from benchmarks import common
from graftline.base.paths import PROJECT

PLOT = PROJECT / "output" / "time_to_accuracy.svg"
NAMES = {"theirs": "the tutorial's code and recipe", "ours": "Graftline, cats_vs_dogs.yaml"}


def main() -> None:
    """Measures both sides, or runs as one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, help="number of images; all by default")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of each of the tutorial's phases")
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, *places = arguments.side
        common.answer({"curve": _ours(*places) if side == "ours" else _theirs(places[0], arguments.epochs)})
        return
    with common.prepared("cats_vs_dogs", arguments.images) as data:
        curves = {}
        for side in ("ours", "theirs"):
            places = [side, data.examples, data.transform, f"{data.settings.run.root}/{side}"]
            start = time.time()
            answer = common.ask("benchmarks.time_to_accuracy", [*sys.argv[1:], "--side", *places])
            curves[side] = [(round(ended - start, 1), accuracy) for ended, accuracy in answer["curve"]]
    _tell(curves, arguments)


def _tell(curves: dict[str, list[tuple[float, float]]], arguments: argparse.Namespace) -> None:
    _plot(curves)
    target = curves["theirs"][-1][1]
    ours, first = (next((at for at, reached in curves[side] if reached >= target), None) for side in ("ours", "theirs"))
    theirs = curves["theirs"][-1][0]
    common.tell(
        "time_to_accuracy",
        target=round(target, 4),
        ours_s=ours,
        theirs_s=theirs,
        theirs_first_s=first,
        ratio=ours and round(theirs / ours, 1),
        ratio_to_first=ours and first and round(first / ours, 1),
        curves=curves,
        images=arguments.images or "all",
    )


def _ours(examples: str, transform: str, work_dir: str) -> list[Any]:
    loaded = common.load_settings("cats_vs_dogs", None, work_dir)
    history = common.train(common.Prepared(loaded, examples, transform), loaded, work_dir)
    epochs = [epoch for phase in history["phases"] for epoch in phase["epochs"]]
    return [(epoch["ended"], epoch["val_accuracy"]) for epoch in epochs]


def _theirs(examples: str, epochs: int) -> list[Any]:
    from benchmarks import tutorial_code

    return [(epoch["ended"], epoch["val_accuracy"]) for epoch in tutorial_code.train(examples, epochs, tuned=False)]


def _plot(curves: dict[str, list[tuple[float, float]]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for side, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), marker="o", label=NAMES[side])
    axes.set(xlabel="seconds since start", ylabel="validation accuracy", xscale="log")
    axes.legend()
    axes.grid(alpha=0.3)
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT)
    print(f"Both curves: {PLOT}")


if __name__ == "__main__":
    main()
