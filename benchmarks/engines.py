"""The frozen prefix on each engine, alone and after decoding: `python -m benchmarks.engines [--images N]`.

Prints images per second. `ratio` compares the whole pass (decode, Transform, prefix, pooled features) on OpenVINO, in
bfloat16 if the processor has it, with TensorFlow's plain Keras model in the same loop.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from benchmarks import common
from graftline.artifacts import records
from graftline.artifacts.examples import TRAIN
from graftline.base.errors import UserError
from graftline.features import cache
from graftline.features.source import PASS_BATCH, decoder, source
from graftline.network import backbone, inference, weights
from graftline.network.inference import Engine, Run

ROUNDS = 3  # each engine in turn, because a shared machine's speed drifts
BATCHES_ALONE = 20


def main() -> None:
    """Measures, and reports the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000, help="images per round of the whole pass")
    images = parser.parse_args().images
    with common.prepared("cats_vs_dogs_tutorial", round(images * 1.3)) as data:
        source = _source(data, images)
        engines = _compile(data)
        alone: dict[str, list[float]] = {name: [] for name in engines}
        whole: dict[str, list[float]] = {name: [] for name in engines}
        for _ in range(ROUNDS):
            for name, run in engines.items():
                alone[name].append(_alone(run, source))
                whole[name].append(_whole(run, source))
    rates = {name: {"alone": round(np.median(alone[name])), "whole": round(np.median(whole[name]))} for name in engines}
    plain, *_, best = whole
    ratio = round(float(np.median(np.array(whole[best]) / np.array(whole[plain]))), 2)
    common.tell("engines", images_per_s=rates, ratio=ratio, ratio_of=best, images=images, rounds=ROUNDS)


def _source(data: common.Prepared, images: int) -> Callable[[], tf.data.Dataset]:
    read = source(records.counted(data.examples, TRAIN).read, decoder(tft.TFTransformOutput(data.transform)), "plain")
    return lambda: read(0, images // PASS_BATCH * PASS_BATCH)


def _compile(data: common.Prepared) -> dict[str, Run]:
    model = data.settings.model
    pretrained = weights.resolve(model.backbone, model.image_size, model.weights)
    base = backbone.build(model, pretrained.path if pretrained else None)
    prefix = backbone.prefix(base, model, backbone.cut(base, model.fine_tune_at))
    engines = [Engine("tensorflow", "float32"), Engine("openvino", "float32")]
    try:
        engines.append(inference.choose(data.settings.prefix.model_copy(update={"precision": "bfloat16"})))
    except UserError as error:
        print(error)
    return {f"{engine.name} {engine.precision}": inference.compile_prefix(prefix, engine) for engine in engines}


def _alone(run: Run, source: Callable[[], tf.data.Dataset]) -> float:
    images, _ = next(source().as_numpy_iterator())
    with ThreadPoolExecutor(inference.STREAMS) as pool:
        list(pool.map(run, [images] * inference.STREAMS))
        start = time.monotonic()
        list(pool.map(run, [images] * BATCHES_ALONE))
    return BATCHES_ALONE * len(images) / (time.monotonic() - start)


def _whole(run: Run, source: Callable[[], tf.data.Dataset]) -> float:
    start = time.monotonic()
    count = sum(len(rows[cache.LABEL]) for rows in cache.computed(source(), run, "float16"))
    return count / (time.monotonic() - start)


if __name__ == "__main__":
    main()
