"""Training on several machines: TF_CONFIG names all workers, and each trains on its part of every batch.

All run the same `run_fn` with the same settings and the same `run.root`, on a volume that they share. The first, the chief,
computes the features and writes all files. Together they give the loss curve of one machine, apart from rounding (about 1e-4
if convolutions multiply in bfloat16), with two exceptions. `batch_norm: train` is not synchronized: each worker normalizes
by the statistics of its own part of a batch, and only the moving statistics are averaged over the workers. And dropout draws
other numbers than on one machine.

If a worker is lost, TensorFlow ends the others within seconds. Started again, all resume from the last checkpoint.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from graftline.base.errors import UserError

EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Workers:
    """The processes that train together.

    Attributes:
      strategy: distributes over the devices of all workers.
      index: number of this worker; 0 is the chief.
      count: number of workers; 1 if this process trains alone.
    """

    strategy: tf.distribute.Strategy
    index: int = 0
    count: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this worker computes and writes for all of them."""
        return self.index == 0

    def gather(self, value: int) -> list[int]:
        """Returns the value of each worker, in their order, once all have called this."""
        if self.count == 1:
            return [value]
        own = tf.one_hot(self.index, self.count, tf.constant(value, tf.int64), tf.constant(0, tf.int64))
        return self.strategy.reduce("SUM", own, axis=None).numpy().tolist()

    def any(self, value: bool) -> bool:
        """Returns whether the value is true for at least one worker; all must ask at the same point of training."""
        return any(self.gather(int(value)))

    def check_same(self, *values: Any) -> None:
        """Raises UserError if these values are not the same for all workers."""
        if len(set(self.gather(zlib.crc32(repr(values).encode())))) > 1:
            raise UserError(
                "The workers would not train the same model: give them all the same settings, code and kind of machine, "
                "and the same run.root on a volume that they share."
            )

    @contextlib.contextmanager
    def chief_first(self) -> Iterator[None]:
        """Lets the chief go through a block before the others enter it."""
        if not self.is_chief:
            self.gather(0)
        yield
        if self.is_chief:
            self.gather(0)


def join(batch_size: int) -> Workers:
    """Waits for all workers that TF_CONFIG names, if it is set; must be called before TensorFlow computes anything.

    Args:
      batch_size: examples in a batch of all workers together.

    Raises:
      UserError: if TF_CONFIG is not valid, or the batch cannot be split among the workers' devices.
    """
    devices = len(tf.config.list_physical_devices("GPU"))
    addresses, index = _read(os.environ.get("TF_CONFIG", ""))
    if len(addresses) < 2:
        return Workers(tf.distribute.MirroredStrategy() if devices > 1 else tf.distribute.get_strategy())
    replicas = len(addresses) * max(devices, 1)
    if batch_size % replicas:
        raise UserError(
            f"training.batch_size = {batch_size} cannot be split evenly over {len(addresses)} workers with "
            f"{max(devices, 1)} device(s) each: set it to a multiple of {replicas}."
        )
    print(f"Worker {index}: waiting for all {len(addresses)} workers ({', '.join(addresses)}).", flush=True)
    workers = Workers(tf.distribute.MultiWorkerMirroredStrategy(), index, len(addresses))
    workers.gather(0)
    print(f"All {len(addresses)} workers are ready.", flush=True)
    return workers


def _read(tf_config: str) -> tuple[list[str], int]:
    """Returns the addresses of the workers, and which of them this process is."""
    if not tf_config:
        return [], 0
    try:
        config = json.loads(tf_config)
    except ValueError as error:
        raise UserError(f"TF_CONFIG is not JSON ({error}): set it as in {EXAMPLE}, or unset it.") from error
    match config:
        case {"cluster": {"worker": [str(), *_] as addresses}, "task": {"type": "worker", "index": int(index)}}:
            if 0 <= index < len(addresses):
                return addresses, index
            raise UserError(
                f"TF_CONFIG: task.index = {index}, but cluster.worker lists {len(addresses)}: set task.index to a number "
                f"from 0 to {len(addresses) - 1}, a different one on each worker."
            )
    raise UserError(
        f"TF_CONFIG = {tf_config} must list the workers and say which of them this is: set it as in {EXAMPLE}, or unset it."
    )
