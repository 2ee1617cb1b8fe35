"""Loads an exported model as a model server would and times it, with only TensorFlow and no code of this project.

`python -I probe.py MODEL EXAMPLES ANSWERS`: EXAMPLES is a TFRecord file of tf.Examples with encoded images under
`image`; it writes the `probabilities` of both signatures, and `measured`, JSON, to ANSWERS, an .npz file.
"""

import functools
import json
import re
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = {1: 30, 32: 5}  # how often each batch size is timed
WARM_UP = 2


def main() -> None:
    """Loads the model, answers the examples, and times both."""
    import tensorflow as tf  # not above: benchmarks measure memory without it

    model_path, examples_path, answers_path = sys.argv[1:]
    start = time.monotonic()
    signatures = tf.saved_model.load(model_path).signatures
    load_s = time.monotonic() - start
    records = list(tf.data.TFRecordDataset(examples_path).as_numpy_iterator())
    images = [tf.train.Example.FromString(record).features.feature["image"].bytes_list.value[0] for record in records]
    by_example = signatures["serving_default"](examples=tf.constant(records))["probabilities"]
    by_bytes = signatures["serving_bytes"](image_bytes=tf.constant(images))["probabilities"]
    measured: dict[str, Any] = {"load_s": round(load_s, 2), "latency_ms": {}}
    for size, times in BATCHES.items():
        batch = tf.constant([images[index % len(images)] for index in range(size)])
        measured["latency_ms"][size] = _latency(
            functools.partial(signatures["serving_bytes"], image_bytes=batch), times
        )
    measured["memory_gb"] = peak_gb()
    np.savez(answers_path, by_example=by_example, by_bytes=by_bytes, measured=np.array(json.dumps(measured)))


def peak_gb() -> float:
    """Returns the peak of this process's resident memory, in GB.

    On Linux, getrusage would count the process that started this one, too, until the program was loaded.
    """
    status = Path("/proc/self/status")
    own = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.is_file() else None
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return round((int(own[1]) if own else usage) * 1024 / 1e9, 2)


def _latency(answer: Callable[[], Any], times: int) -> dict[str, float]:
    """Returns the median and 99th percentile of `times` calls, in milliseconds."""
    for _ in range(WARM_UP):
        answer()
    found = []
    for _ in range(times):
        start = time.monotonic()
        answer()
        found.append(1000 * (time.monotonic() - start))
    return {"median": round(float(np.median(found)), 1), "p99": round(float(np.percentile(found, 99)), 1)}


if __name__ == "__main__":
    main()
