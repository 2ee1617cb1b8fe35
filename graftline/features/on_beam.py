"""The pass over the images on Beam, if `run.beam_args` names a runner with several machines.

Each missing shard of the cache is a separate piece of work: a worker reads its examples, runs the prefix on the engine that
the Trainer chose, writes the shard aside on the volume that all workers share, and renames it. Shards that were written
before a worker was lost are not computed again, and the Trainer finds a complete cache.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import apache_beam as beam
import keras
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.utils.shared import Shared

from graftline.artifacts import records
from graftline.base.beam import ARGS
from graftline.features import cache, source
from graftline.network import inference
from graftline.network.inference import Engine

HERE = ("DirectRunner", "FnApiRunner")  # suffixes of the runners that use only this machine


def is_asked_for() -> bool:
    """Returns whether Beam's arguments name a runner that works outside this process."""
    runner = PipelineOptions(list(ARGS.get())).view_as(StandardOptions).runner
    return runner is not None and not runner.endswith(HERE)


class Piece(NamedTuple):
    """A shard to write.

    Attributes:
      folder: of the view of the split.
      number: of the shard.
      examples: how many the split has.
      part: where the examples of this shard are.
      view: name of the view.
    """

    folder: str
    number: int
    examples: int
    part: records.Part
    view: str


class Made(NamedTuple):
    """What workers load: the saved network and the Transform graph, with the engine and dtype to use."""

    network: str
    transform: str
    engine: Engine
    dtype: str


def fill(
    pieces: Iterable[Piece], network: keras.Model, transform: tft.TFTransformOutput, engine: Engine, dtype: str
) -> None:
    """Computes shards on the runner that Beam's arguments name.

    Args:
      pieces: the shards.
      network: the prefix.
      transform: output of the Transform, on the volume that the workers share.
      engine: the engine that runs the prefix.
      dtype: float16 or float32.
    """
    pieces = list(pieces)
    folder = Path(tempfile.mkdtemp(dir=Path(pieces[0].folder).parent, suffix=".tmp"))
    folder.chmod(0o755)  # workers may run as another user
    try:
        saved = folder / "network"
        tf.saved_model.save(_Saved(network), str(saved))
        made = Made(str(saved), Path(transform.transform_savedmodel_dir).parent.as_posix(), engine, dtype)
        print(f"Beam's workers compute the features of {len(pieces)} shards.", flush=True)
        with beam.Pipeline(argv=list(ARGS.get())) as pipeline:
            pipeline | beam.Create(pieces) | beam.Reshuffle() | beam.ParDo(WriteShard(made))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Saved(tf.Module):
    """A prefix to save as a SavedModel."""

    def __init__(self, network: keras.Model) -> None:
        super().__init__()
        self._variables = [variable.value for variable in network.variables]
        images = tf.TensorSpec([None, *network.input.shape[1:]], tf.float32)
        self.prefix = tf.function(lambda batch: network(batch, training=False), [images], autograph=False)


class WriteShard(beam.DoFn):
    """Writes shards of the cache."""

    def __init__(self, made: Made) -> None:
        """Initializes the writer.

        Args:
          made: what each process loads once.
        """
        self._made, self._shared = made, Shared()

    def process(self, piece: Piece) -> Iterator[int]:
        """Writes a shard, unless another worker has done so, and yields its number of examples."""
        if piece.number not in cache.missing(Path(piece.folder), piece.examples):
            return
        loaded = self._shared.acquire(lambda: _Loaded(self._made))
        yield sum(loaded.write(piece))


class _Loaded:
    """What a worker needs to compute features."""

    def __init__(self, made: Made) -> None:
        self._network = tf.saved_model.load(made.network)  # kept, because its variables live only as long as it does
        (traced,) = self._network.prefix.concrete_functions
        self._run, self._dtype = inference.compile_function(traced, made.engine), made.dtype
        self._decode = source.decoder(tft.TFTransformOutput(made.transform))

    def write(self, piece: Piece) -> Iterator[int]:
        numbers = range(piece.number, piece.number + 1)
        read = source.source(lambda *_: piece.part.read(), self._decode, piece.view)
        return cache.write(Path(piece.folder), numbers, piece.examples, read, self._run, self._dtype)
