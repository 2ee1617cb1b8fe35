"""Retrains every night on a growing set of digits, and prints the disk usage after each: `python -m benchmarks.nights`.

A night is one run of `python pipeline.py` on the next span of a folder of photos; then all files become a day older.
At the end, each run that is kept must show its report, and a rollback must restore the previous model.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

from graftline.base.paths import DAY
from graftline.runs import history, store
from graftline.serving import versions
from graftline.settings.load import CONFIG_VARIABLE, load
from tests import warm

FIRST, MORE = 240, 10  # photos in the first span, and how many more each later one has
SMALL = {
    "GRAFTLINE_MODEL__IMAGE_SIZE": "32",
    "GRAFTLINE_TRAINING__PHASE_1__EPOCHS": "2",
    "GRAFTLINE_TRAINING__PHASE_2__EPOCHS": "1",
    "GRAFTLINE_GATE__MIN_ACCURACY": "0",
    "GRAFTLINE_GATE__MIN_MACRO_ACCURACY": "0",
    "GRAFTLINE_GATE__MAX_ACCURACY_DROP": "0.05",
    "GRAFTLINE_GATE__MIN_TEST_EXAMPLES": "1",
    "GRAFTLINE_SERVING__MAX_LATENCY_MS": "60000",
    "GRAFTLINE_DATA_GATE__MAX_NEAR_DUPLICATES": "1",  # digits look alike
}


def main() -> None:
    """Prints one line per night, and the state at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nights", type=int, default=60)
    nights = parser.parse_args().nights
    with tempfile.TemporaryDirectory() as folder:
        root, photos = Path(folder, "runs"), Path(folder, "photos")
        surroundings(root, photos)
        print("night  photos  seconds  MB without photos  runs with a report  how it ended", flush=True)
        for night in range(1, nights + 1):
            count = FIRST + MORE * (night - 1)
            write_span(photos / f"span-{night}", count)
            seconds, end = run()
            reports = sum(history.report(one) is not None for one in runs())
            print(f"{night:5}  {count:6}  {seconds:7.1f}  {megabytes(root):17.1f}  {reports:18}  {end}", flush=True)
            pass_a_day(root)
        check()


def surroundings(root: Path, photos: Path) -> None:
    """Makes this process, and the runs that it starts, work in a folder."""
    os.environ |= SMALL | {
        CONFIG_VARIABLE: f"folder:{photos}",
        "GRAFTLINE_RUN__ROOT": str(root),
        "GRAFTLINE_RUN__SERVING_DIR": str(root / "serving"),
    }


def write_span(folder: Path, count: int) -> None:
    """Writes the first digits to one folder per class."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:count], digits.target[:count], strict=True)):
        path = folder / f"class-{label}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15).astype("uint8")).resize((64, 64)).save(path)


def run() -> tuple[float, str]:
    """Runs the pipeline, and returns its seconds and its last line; if it fails, exits with its whole output."""
    started = time.monotonic()
    done = warm.run("pipeline", env=dict(os.environ))
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - started, done.stdout.splitlines()[-1]


def runs() -> list[store.Run]:
    """Returns all runs so far."""
    return history.read(load())


def megabytes(root: Path) -> float:
    """Returns the disk space of the runs; files with several hard links count once."""
    sizes = {(status := path.stat()).st_ino: status.st_size for path in root.rglob("*") if path.is_file()}
    return sum(sizes.values()) / 1e6


def pass_a_day(root: Path) -> None:
    """Makes everything a day older."""
    for path in [root, *root.rglob("*")]:
        times = path.stat()
        os.utime(path, (times.st_atime - DAY, times.st_mtime - DAY))


def check() -> None:
    """Rolls back the model in production, and prints what is served before and after."""
    settings = load()
    before = versions.served(settings.push_dir)
    print(
        warm.run(
            "graftline.cli",
            "rollback",
            "--data",
            os.environ[CONFIG_VARIABLE],
            "--reason",
            "to try it",
            env=dict(os.environ),
        ).stdout,
        end="",
    )
    after = versions.served(settings.push_dir)
    print(
        f"Rolled back from {before[:12]} to {after[:12]}; {len(versions.versions(settings.push_dir))} versions are kept."
    )


if __name__ == "__main__":
    main()
