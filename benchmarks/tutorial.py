"""The tutorial's published code against our Trainer with the tutorial's recipe: `python -m benchmarks.tutorial`.

Each side trains `--epochs` epochs of each phase in its own process, in turn, on the same examples. The seconds of all 20
epochs are extrapolated: the one-time work, plus ten times the median epoch of each phase. With `--tuned`, the tutorial's
code gets what a good engineer would add: parallel decoding, `cache()` and `prefetch`.
"""

import argparse
import statistics
import sys
import time
from typing import Any

from benchmarks import common

EPOCHS = 10  # epochs of each phase in the tutorial
PHASES = (1, 2)


def main() -> None:
    """Measures both sides, or runs as one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, help="number of images; all by default")
    parser.add_argument("--epochs", type=int, default=1, help="epochs to measure of each phase")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs, in turn")
    parser.add_argument("--tuned", action="store_true", help="compare with the tutorial's code plus every cheap trick")
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, examples, transform, work_dir = arguments.side
        ours = side == "ours"
        common.answer(_ours(examples, transform, work_dir, arguments.epochs) if ours else _theirs(examples, arguments))
        return
    with common.prepared("cats_vs_dogs_tutorial", arguments.images) as data:
        sides: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
        for index in range(arguments.rounds):
            for side, runs in sides.items():
                work_dir = f"{data.settings.run.root}/{side}_{index}"
                places = [side, data.examples, data.transform, work_dir]
                runs.append(common.ask("benchmarks.tutorial", [*sys.argv[1:], "--side", *places]))
    ours_s, theirs_s = (_all_epochs(runs) for runs in sides.values())
    common.tell(
        "tutorial tuned" if arguments.tuned else "tutorial",
        ours_s=round(ours_s),
        theirs_s=round(theirs_s),
        ratio=round(theirs_s / ours_s, 2),
        ours=sides["ours"],
        theirs=sides["theirs"],
        images=arguments.images or "all",
        epochs_measured=arguments.epochs,
    )


def _all_epochs(runs: list[dict[str, Any]]) -> float:
    once = statistics.median(run["once_s"] for run in runs)
    phases = [statistics.median(second for run in runs for second in run[f"phase_{phase}_s"]) for phase in PHASES]
    return once + EPOCHS * sum(phases)


def _ours(examples: str, transform: str, work_dir: str, epochs: int) -> dict[str, Any]:
    loaded = common.load_settings("cats_vs_dogs_tutorial", None, work_dir)
    phases = {
        name: getattr(loaded.training, name).model_copy(update={"epochs": epochs}) for name in ("phase_1", "phase_2")
    }
    training = loaded.training.model_copy(update=phases)
    start = time.monotonic()
    data = common.Prepared(loaded, examples, transform)
    history = common.train(data, loaded.model_copy(update={"training": training}), work_dir)
    measured = [[epoch["seconds"] for epoch in phase["epochs"]] for phase in history["phases"]]
    return _described(measured, time.monotonic() - start)


def _theirs(examples: str, arguments: argparse.Namespace) -> dict[str, Any]:
    from benchmarks import tutorial_code

    start = time.monotonic()
    epochs = tutorial_code.train(examples, arguments.epochs, arguments.tuned)
    measured = [[epoch["seconds"] for epoch in epochs if epoch["phase"] == phase] for phase in PHASES]
    return _described(measured, time.monotonic() - start)


def _described(measured: list[list[float]], seconds: float) -> dict[str, Any]:
    once = seconds - sum(map(sum, measured))
    return {"once_s": round(once, 1)} | {f"phase_{phase}_s": measured[phase - 1] for phase in PHASES}


if __name__ == "__main__":
    main()
