"""Accuracy of the recipe for your own photos on small sets: `python -m benchmarks.photo_sets ARCHIVE`.

The archive is a zip file of sets, each a folder with one folder per class. Each set is split 70/30 at random three times;
models learn from the 70 and are measured on the 30. The benchmark compares the recipe of revision 1e09f3b; a logistic
regression on standardized pooled features, with its strength chosen by cross-validation; and the recipe of
`configs/photos.yaml`, which sets aside 15 % of the 70 for validation, because it has to choose. The Trainer's own function
trains both recipes. The new one's exported model also sees strangers, images of the other sets: the area under the ROC curve
says how well its likeness separates them from the held-out images.
"""

import argparse
import statistics
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import common
from graftline.artifacts.examples import TEST, TRAIN, VALIDATION, write_label_names
from graftline.base import photos
from graftline.settings.load import PHOTOS
from graftline.settings.settings import Settings
from graftline.settings.training import Model, Prefix, Training

RESPLITS, LEARN, CHOOSE = 3, 0.7, 0.15
OLD_MODEL: dict[str, Any] = {"image_size": 160, "dropout": 0.2}
OLD_TRAINING: dict[str, Any] = {
    "augmentation": "flip",
    "label_smoothing": 0.1,
    "export": "last",
    "temperature": False,
    "phase_1": {"epochs": 5, "learning_rate": 1e-3},
    "phase_2": {"epochs": 5, "learning_rate": 1e-4, "schedule": "cosine"},
}
RECIPES = ("old", "logistic", "new")
STRANGERS = 30  # images from each other set


class PhotoSet(NamedTuple):
    """A set of photos.

    Attributes:
      name: name of its folder.
      images: encoded images.
      labels: int64 [images].
      classes: class names.
    """

    name: str
    images: list[bytes]
    labels: np.ndarray
    classes: list[str]


class Measured(NamedTuple):
    """The results of one re-split.

    Attributes:
      recipes: accuracy in percent, and seconds, by recipe.
      strangers: area under the ROC curve of the new recipe's likeness.
    """

    recipes: dict[str, tuple[float, float]]
    strangers: float


def main() -> None:
    """Prints one line per set and re-split, and at the end means with standard errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--sets", nargs="*", help="names of the sets to measure; all by default")
    parser.add_argument("--resplits", type=int, default=RESPLITS)
    arguments = parser.parse_args()
    found: dict[str, list[Measured]] = {}
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(arguments.archive).extractall(Path(folder, "sets"))
        sets = [read(path) for path in sorted(Path(folder, "sets").iterdir())]
        chosen = [one for one in sets if not arguments.sets or one.name in arguments.sets]
        for number in range(arguments.resplits):
            for one in chosen:
                measured = compare(one, sets, number, Path(folder, f"{one.name}_{number}"))
                found.setdefault(one.name, []).append(measured)
                recipes = [f"{name} {value:5.1f} % {spent:4.0f} s" for name, (value, spent) in measured.recipes.items()]
                told = "  ".join([*recipes, f"strangers {measured.strangers:.3f}"])
                print(f"{one.name:12} {number}  {told}", flush=True)
    tell(found)


def read(folder: Path) -> PhotoSet:
    """Reads a set from its folder."""
    classes = photos.folders_in(folder)
    files = [(path, label) for label, one in enumerate(classes) for path in photos.image_files(one)]
    labels = np.array([label for _, label in files])
    return PhotoSet(folder.name, [path.read_bytes() for path, _ in files], labels, [one.name for one in classes])


def compare(one: PhotoSet, sets: list[PhotoSet], number: int, folder: Path) -> Measured:
    """Returns the results of one re-split."""
    order = np.random.default_rng(number).permutation(len(one.labels))
    edge = round(LEARN * len(order))
    learn, test = order[:edge], order[edge:]
    choose = round(CHOOSE * len(learn))
    new = settings(one, folder)
    old = new.model_copy(update={"model": Model(**OLD_MODEL), "training": Training(**OLD_TRAINING)})
    recipes = {
        # It exports the last epoch, so validation chooses nothing, and its images do not matter
        "old": trained(one, {TRAIN: learn, VALIDATION: learn[:choose], TEST: test}, old, folder / "old"),
        "logistic": logistic(one, learn, test, new),
        "new": trained(one, {TRAIN: learn[choose:], VALIDATION: learn[:choose], TEST: test}, new, folder / "new"),
    }
    known = [one.images[row] for row in test]
    return Measured(recipes, told_apart(folder / "new/serving", known, strangers(one, sets, number)))


def strangers(one: PhotoSet, sets: list[PhotoSet], number: int) -> list[bytes]:
    """Returns some images from each other set."""
    random = np.random.default_rng(number)
    others = [other for other in sets if other.name != one.name]
    return [other.images[row] for other in others for row in random.permutation(len(other.images))[:STRANGERS]]


def told_apart(model: Path, known: list[bytes], unknown: list[bytes]) -> float:
    """Returns the area under the ROC curve of a model's likeness, for images of its classes against others."""
    import tensorflow as tf
    from sklearn.metrics import roc_auc_score

    from graftline.artifacts.examples import IMAGE
    from graftline.network.known import likeness
    from tests import tiny

    saved = tf.saved_model.load(str(model))
    found = []
    for image in [*known, *unknown]:
        pixels = saved.signatures["transform_features"](examples=tf.constant([tiny.example(image, 0)]))[IMAGE]
        # The signatures only say on which side of the bound an image is, not how far away
        features, _, _ = saved._network(pixels)
        found.append(float(likeness(features, saved._reference)[0]))
    return float(roc_auc_score([1] * len(known) + [0] * len(unknown), found))


def settings(one: PhotoSet, folder: Path) -> Settings:
    """Returns the recipe's settings for a folder of this set."""
    photos_of = folder.parent / "sets" / one.name
    return common.load_settings(f"folder:{photos_of}", None, str(folder))


def trained(one: PhotoSet, splits: dict[str, np.ndarray], loaded: Settings, folder: Path) -> tuple[float, float]:
    """Returns a recipe's test accuracy in percent, and the seconds of the Trainer."""
    from tests import tiny

    examples = folder / "examples"
    write_examples(one, splits, examples)
    tiny.write_transform(folder, [], loaded.model.image_size, loaded.model.resize)
    started = time.monotonic()
    history = common.train(common.Prepared(loaded, str(examples), str(folder / "graph")), loaded, str(folder))
    return 100 * history["phases"][-1]["test_accuracy"], time.monotonic() - started


def write_examples(one: PhotoSet, splits: dict[str, np.ndarray], folder: Path) -> None:
    """Writes examples as TfdsExampleGen does."""
    import tensorflow as tf

    from tests import tiny

    for split, rows in splits.items():
        (folder / f"Split-{split}").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / f"Split-{split}/examples-00000-of-00001")) as writer:
            for row in rows:
                writer.write(tiny.example(one.images[row], int(one.labels[row])))
    write_label_names(str(folder), one.classes)


def logistic(one: PhotoSet, learn: np.ndarray, test: np.ndarray, loaded: Settings) -> tuple[float, float]:
    """Returns the test accuracy of a logistic regression in percent, and its seconds, features included."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    started = time.monotonic()
    features = pooled(one.images, loaded)
    strengths = np.logspace(-5, 0, 11)
    model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=strengths, cv=5, max_iter=300))
    model.fit(features[learn], one.labels[learn])
    return 100 * model.score(features[test], one.labels[test]), time.monotonic() - started


def pooled(images: list[bytes], loaded: Settings) -> np.ndarray:
    """Returns pooled features of images, float32 [images, channels]."""
    import tensorflow as tf

    from components.transform.preprocessing import preprocessing_fn
    from graftline.artifacts.examples import IMAGE, LABEL
    from graftline.network import backbone, inference, weights
    from tests import tiny

    model = loaded.model
    found = weights.resolve(model.backbone, model.image_size, model.weights)
    base = backbone.build(model, found.path if found else None)
    prefix = backbone.prefix(base, model, backbone.cut(base, model.fine_tune_at))
    run = inference.compile_prefix(prefix, inference.choose(Prefix()))
    config = tiny.transform_config(model.image_size, model.resize)
    raw = ({IMAGE: tf.constant([one]), LABEL: tf.constant([0])} for one in images)
    return np.concatenate([run(preprocessing_fn(one, config)[IMAGE].numpy())[1].copy() for one in raw])


def tell(found: dict[str, list[Measured]]) -> None:
    """Prints the table and stores it."""
    rows = {
        name: {recipe: _summary([one.recipes[recipe] for one in runs]) for recipe in RECIPES}
        for name, runs in found.items()
    }
    areas = {name: statistics.mean(one.strangers for one in runs) for name, runs in found.items()}
    print(f"\n{'set':12}" + "".join(f"{recipe:>26}" for recipe in RECIPES) + "  strangers")
    for name, row in rows.items():
        cells = ["{accuracy:10.1f} ± {error:4.1f} {seconds:6.0f} s".format(**row[recipe]) for recipe in RECIPES]
        print(f"{name:12}" + "".join(cells) + f"{areas[name]:11.3f}")
    means = {recipe: statistics.mean(row[recipe]["accuracy"] for row in rows.values()) for recipe in RECIPES}
    area = statistics.mean(areas.values())
    print(f"{'mean':12}" + "".join(f"{means[recipe]:10.1f}{'':16}" for recipe in RECIPES) + f"{area:11.3f}")
    means = {key: round(value, 2) for key, value in means.items()}
    common.tell("photo_sets", recipe=PHOTOS, means=means, strangers={"mean": area} | areas, sets=rows)


def _summary(runs: list[tuple[float, float]]) -> dict[str, float]:
    values, seconds = zip(*runs, strict=True)
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return {"accuracy": statistics.mean(values), "error": error, "seconds": statistics.mean(seconds)}


if __name__ == "__main__":
    main()
