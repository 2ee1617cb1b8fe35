"""Photos classified by `graftline predict` and by the exported model: `python -m benchmarks.predict [--images N]`.

The photos are those of cats_vs_dogs, the model is the untrained one of cats_vs_dogs.yaml. Rates are images per second and
include reading the files, but not loading the model; `ratio` compares predict with `serving_bytes`, batch after batch.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from benchmarks import common
from graftline.artifacts import records
from graftline.artifacts.examples import IMAGE, TRAIN
from graftline.network import backbone, weights
from graftline.network.known import Known
from graftline.serving import classifier, exported, files
from graftline.serving.export import export
from graftline.serving.predictions import Prediction
from graftline.training import fitted

ROUNDS = 3  # each way in turn, because a shared machine's speed drifts
BATCH = 32


def main() -> None:
    """Measures, and reports the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2_000)
    images = parser.parse_args().images
    with common.prepared("cats_vs_dogs", round(images * 1.3)) as data, tempfile.TemporaryDirectory() as folder:
        paths = _photos(data, images, Path(folder, "photos"))
        exported = _exported(data, f"{folder}/model")
        fast = classifier.Classifier(exported, data.settings.data.max_pixels)
        ways: dict[str, Callable[[], np.ndarray]] = {
            "serving_bytes": lambda: _served(exported, paths),
            "predict": lambda: _predicted(fast, paths),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        answers = {}
        for _, name in itertools.product(range(ROUNDS), ways):
            start = time.monotonic()
            answers[name] = ways[name]()
            rates[name].append(images / (time.monotonic() - start))
    difference = float(np.abs(answers["predict"] - answers["serving_bytes"]).max())
    ratio = round(float(np.median(np.array(rates["predict"]) / np.array(rates["serving_bytes"]))), 2)
    medians = {name: round(float(np.median(found))) for name, found in rates.items()}
    common.tell("predict", images_per_s=medians, ratio=ratio, difference=difference, images=images, rounds=ROUNDS)


def _photos(data: common.Prepared, count: int, folder: Path) -> list[Path]:
    """Writes `count` images of the training split as files."""
    folder.mkdir()
    paths = []
    for number, record in enumerate(records.read(data.examples, TRAIN).take(count).as_numpy_iterator()):
        example = tf.train.Example.FromString(record)
        paths.append(folder / f"{number:06}.jpg")
        paths[-1].write_bytes(example.features.feature[IMAGE].bytes_list.value[0])
    return paths


def _exported(data: common.Prepared, folder: str) -> exported.Exported:
    model = data.settings.model
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)
    base = backbone.build(model, pretrained.path if pretrained else None)
    at = backbone.cut(base, model.fine_tune_at)
    whole = backbone.classifier(base, backbone.head(base, model, 2), model, at)
    channels = backbone.output_of(base, at).shape[-1]
    known = Known(np.eye(fitted.REFERENCE, channels, dtype=np.float32), 0.0)  # as large as a fitted one
    export(whole, tft.TFTransformOutput(data.transform), ["cat", "dog"], folder, known)
    return exported.load(Path(folder))


def _predicted(classify: classifier.Classifier, paths: list[Path]) -> np.ndarray:
    found = [answer for _, answer in files.answers(paths, classify, BATCH)]
    return np.array([answer.probabilities for answer in found if isinstance(answer, Prediction)])


def _served(exported: exported.Exported, paths: list[Path]) -> np.ndarray:
    function = exported.signatures["serving_bytes"]
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    found = [function(image_bytes=tf.constant([path.read_bytes() for path in batch])) for batch in batches]
    return np.concatenate([answer["probabilities"].numpy() for answer in found])


if __name__ == "__main__":
    main()
