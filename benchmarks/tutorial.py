"""The tutorial's code as published against our Trainer with the tutorial's recipe: `python -m benchmarks.tutorial`.

Each side trains `--epochs` epochs of each phase in a process of its own, in turn, on the same examples. The seconds of all
20 epochs are extrapolated openly: what is done once, plus ten times the median epoch of each phase. With `--tuned` the
tutorial's code gets what a good engineer adds to it: parallel decoding, `cache()` and `prefetch`.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks import common

EPOCHS = 10  # of each phase, in the tutorial
BATCH = 32


def main() -> None:
    """Measures both sides, or is one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, help="all by default")
    parser.add_argument("--epochs", type=int, default=1, help="epochs measured of each phase")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs, in turn")
    parser.add_argument("--tuned", action="store_true", help="against the tutorial's code with every cheap trick")
    parser.add_argument("--side", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        side, examples, transform, work_dir = arguments.side
        measured = (
            _ours(examples, transform, work_dir, arguments.epochs) if side == "ours" else _theirs(examples, arguments)
        )
        print(json.dumps(measured | {"peak_gb": _peak_gb()}), flush=True)
        return
    with common.prepared("cats_vs_dogs_tutorial", arguments.pictures) as data:
        sides: dict[str, list[dict[str, Any]]] = {"ours": [], "theirs": []}
        for index in range(arguments.rounds):
            for side, runs in sides.items():
                work_dir = f"{data.settings.run.root}/{side}_{index}"
                runs.append(_run_side(side, [data.examples, data.transform, work_dir]))
    name = "tutorial tuned" if arguments.tuned else "tutorial"
    ours, theirs = (_all_epochs(runs) for runs in sides.values())
    common.tell(
        name,
        ours_s=round(ours),
        theirs_s=round(theirs),
        ratio=round(theirs / ours, 2),
        ours=sides["ours"],
        theirs=sides["theirs"],
        pictures=arguments.pictures or "all",
        epochs_measured=arguments.epochs,
    )


def _run_side(side: str, places: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.tutorial", *sys.argv[1:], "--side", side, *places]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{side}: {done.stdout.splitlines()[-1]}", flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def _all_epochs(runs: list[dict[str, Any]]) -> float:
    once = statistics.median(run["once_s"] for run in runs)
    phases = [
        statistics.median(second for run in runs for second in run[phase]) for phase in ("phase_1_s", "phase_2_s")
    ]
    return once + EPOCHS * sum(phases)


def _peak_gb() -> float:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round(kilobytes * 1024 / 1e9, 2)


def _ours(examples: str, transform: str, work_dir: str, epochs: int) -> dict[str, Any]:
    loaded = common.load_settings("cats_vs_dogs_tutorial", None, work_dir)
    phases = {
        name: getattr(loaded.training, name).model_copy(update={"epochs": epochs}) for name in ("phase_1", "phase_2")
    }
    training = loaded.training.model_copy(update=phases)
    start = time.monotonic()
    data = common.Prepared(loaded, examples, transform)
    history = common.train(data, loaded.model_copy(update={"training": training}), work_dir)
    seconds = time.monotonic() - start
    measured = [[epoch["seconds"] for epoch in phase["epochs"]] for phase in history["phases"]]
    once = seconds - sum(map(sum, measured))
    return {"once_s": round(once, 1), "phase_1_s": measured[0], "phase_2_s": measured[1]}


def _theirs(examples: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains as the tutorial does; its model, its tf.data pipeline and its calls, on the splits that ours gets."""
    import keras

    from components import weights

    pretrained = weights.resolve("MobileNetV2", 160, "imagenet")
    start = time.monotonic()
    train, validation = (
        _batches(f"{examples}/Split-{split}/*", split, arguments.tuned) for split in ("train", "validation")
    )
    base = keras.applications.MobileNetV2(
        input_shape=(160, 160, 3), include_top=False, weights=str(pretrained.path) if pretrained else None
    )
    base.trainable = False
    model = keras.Sequential([base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)])
    seconds = [_fit(model, train, validation, 1e-4, arguments.epochs)]
    base.trainable = True
    for layer in base.layers[:99]:  # 100 as TensorFlow 2.0 counted them
        layer.trainable = False
    seconds.append(_fit(model, train, validation, 1e-5, arguments.epochs))
    once = time.monotonic() - start - sum(map(sum, seconds))
    return {"once_s": round(once, 1), "phase_1_s": seconds[0], "phase_2_s": seconds[1]}


def _batches(pattern: str, split: str, tuned: bool) -> Any:
    import tensorflow as tf

    spec = {"image": tf.io.FixedLenFeature([], tf.string), "label": tf.io.FixedLenFeature([], tf.int64)}

    def format_example(serialized: Any) -> tuple[Any, Any]:
        example = tf.io.parse_single_example(serialized, spec)
        image = tf.cast(tf.io.decode_jpeg(example["image"], channels=3), tf.float32)
        return tf.image.resize((image / 127.5) - 1, (160, 160)), example["label"]

    records = tf.data.TFRecordDataset(tf.io.gfile.glob(pattern))
    if tuned:  # what cache() keeps are the encoded pictures: decoded ones would be 7 GB
        decoded = records.cache().shuffle(1000).map(format_example, num_parallel_calls=tf.data.AUTOTUNE)
        return decoded.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    formatted = records.map(format_example)
    return (formatted.shuffle(1000) if split == "train" else formatted).batch(BATCH)


def _fit(model: Any, train: Any, validation: Any, rate: float, epochs: int) -> list[float]:
    import keras

    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    accuracy = keras.metrics.BinaryAccuracy(threshold=0.0)
    model.compile(optimizer=keras.optimizers.RMSprop(rate), loss=loss, metrics=[accuracy])
    seconds = []
    for _ in range(epochs):
        start = time.monotonic()
        model.fit(train, epochs=1, validation_data=validation, verbose=2)
        seconds.append(round(time.monotonic() - start, 1))
    return seconds


if __name__ == "__main__":
    main()
