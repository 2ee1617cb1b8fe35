"""The whole pipeline on hundreds of thousands of pictures: `python -m benchmarks.scale ARCHIVE [--pictures N N N]`.

The archive is a zip file with one folder of photos per class. Pictures are cropped from its photos at random, by seed, and
encoded again, so that no two have the same bytes. For each size, a folder of them goes through every component of
cats_vs_dogs.yaml, in its own process. `growth` compares the first size with the last: the exponent of time, which is 1 if
time doubles with the data, and the relative growth of peak memory. `million_s` extrapolates the last size's times to a
million pictures with that exponent.
"""

import argparse
import functools
import io
import json
import shutil
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from benchmarks import common, pipeline

SIDES = (0.5, 1.0)  # sides of a picture, as fractions of its photo's
QUALITY = (70, 96)
AT_ONCE = 500  # pictures that a process writes per task
EACH = 55_000  # bytes of disk per picture: the picture, its example, and its features in float16
STRIDE = 7919  # a prime, so that every size has photos of all kinds
MILLION = 1_000_000
SETTINGS = {
    "DATA_GATE__MAX_NEAR_DUPLICATES": "1",  # pictures of one photo look alike
    "GATE__MIN_ACCURACY": "0",
}


def main() -> None:
    """Makes the pictures, runs the pipeline on each size, and reports how time and memory grow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument(
        "--pictures", type=int, nargs="+", default=[25_000, 100_000, 250_000], help="sizes, smallest first"
    )
    arguments = parser.parse_args()
    sizes: list[int] = arguments.pictures
    runs, metadata = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        _check_disk(folder, sizes[-1])
        for size in sizes:
            with tempfile.TemporaryDirectory(dir=folder) as root:
                photos = Path(root, pipeline.CONFIG)  # a folder of this name gets that configuration's schema
                write(arguments.archive, photos, size)
                runs[size] = pipeline.run(root, size, SETTINGS | {"DATA__DATASET": f"folder:{photos}"})
                metadata[size] = sum(path.stat().st_size for path in Path(root, "metadata").iterdir()) / 1e6
            print(json.dumps({size: runs[size]}), flush=True)  # now, because the next size takes an hour
    growth = pipeline.growths(sizes[0], sizes[-1], runs)
    million = {name: _at_a_million(runs[sizes[-1]][name], sizes[-1], growth[name]["exponent"]) for name in growth}
    common.tell("scale", growth=growth, million_s=million, metadata_mb=metadata, components=runs)


def _at_a_million(figures: dict[str, float], size: int, exponent: float) -> int:
    return round(figures["seconds"] * (MILLION / size) ** exponent)


def _check_disk(folder: str, pictures: int) -> None:
    free, needed = shutil.disk_usage(folder).free, pictures * EACH
    print(f"{pictures:,} pictures need {needed / 1e9:.0f} GB in {folder}; {free / 1e9:.0f} GB are free.", flush=True)
    if needed > free:
        raise SystemExit("Set TMPDIR to a folder with more space, or use fewer pictures.")


def write(archive: Path, folder: Path, pictures: int) -> None:
    """Writes pictures to one folder per class, the same ones each time.

    Args:
      archive: a zip file with one folder of photos per class.
      folder: the folder to create.
      pictures: how many to write.
    """
    with zipfile.ZipFile(archive) as opened:
        names = sorted(info.filename for info in opened.infolist() if info.filename.endswith(".jpg") and info.file_size)
    for name in {_label(name) for name in names}:
        (folder / name).mkdir(parents=True)
    parts = [range(start, min(start + AT_ONCE, pictures)) for start in range(0, pictures, AT_ONCE)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(functools.partial(_write, archive, folder, names), parts))


def _write(archive: Path, folder: Path, names: list[str], numbers: range) -> None:
    with zipfile.ZipFile(archive) as opened:
        for number in numbers:
            random = np.random.default_rng(number)
            name = names[number * STRIDE % len(names)]
            photo = Image.open(io.BytesIO(opened.read(name))).convert("RGB")
            width, height = (round(side * random.uniform(*SIDES)) for side in photo.size)
            left, upper = (int(random.integers(rest + 1)) for rest in (photo.width - width, photo.height - height))
            picture = photo.crop((left, upper, left + width, upper + height))
            picture.save(folder / _label(name) / f"{number:07}.jpg", quality=int(random.integers(*QUALITY)))


def _label(name: str) -> str:
    """Returns the class of a photo, as in the schema of cats_vs_dogs."""
    return PurePosixPath(name).parent.name.lower()


if __name__ == "__main__":
    main()
