"""TfdsExampleGen: reads a TFDS set or a folder of photos into train, validation and test examples.

An example contains the image's bytes exactly as they were encoded, its size, its label, the label's name and its id
(`graftline/artifacts/examples.py`). Only HEIC, the format of phones, becomes JPEG, which model servers get too
(`graftline/data/heic.py`). Whatever TensorFlow's decoder reads is accepted: greyscale, palette, RGBA, CMYK and 16-bit
images become 3 channels of 8 bits when they are decoded; of a GIF the first frame counts, but animated WebP is not read.
The size is that of the upright image, as the Transform turns it by its EXIF orientation. Images that do not decode, and
files of other kinds, are left out and listed with their reasons in `left_out.jsonl`; too many of them stop the run.

An image's original bytes determine its split, so copies of one photo are never in two splits, and an image keeps its split
when others are added. Only a class whose hashes leave it without test or validation images gives them one each
(`splits.py`), so that a class of three images is trained on and measured however large the others are. If the dataset has
splits of its own, they are kept, and copies may be in two of them: Duplicates finds those, and the Evaluator does not
measure on them.

Images are never shuffled, because Beam's local runner keeps shuffled data in memory: each worker writes what it reads.
"""

from typing import ClassVar

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.channel import OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.example_gen.driver import Driver
from components.example_gen.executor import Executor
from graftline.artifacts.examples import EXAMPLES
from graftline.settings.data import Data


class TfdsExampleGenSpec(ComponentSpec):
    """What goes in and out of TfdsExampleGen."""

    PARAMETERS: ClassVar[dict[str, ExecutionParameter]] = {
        "dataset": ExecutionParameter(type=str),
        "span": ExecutionParameter(type=str),
        "labels": ExecutionParameter(type=str, optional=True),
        "given_splits": ExecutionParameter(type=str),
        "data_dir": ExecutionParameter(type=str),
        "splits": ExecutionParameter(type=str),
        "max_bad_images": ExecutionParameter(type=float),
        "max_pixels": ExecutionParameter(type=int),
        "max_examples": ExecutionParameter(type=int, optional=True),
    }
    INPUTS: ClassVar[dict[str, ChannelParameter]] = {}
    OUTPUTS: ClassVar[dict[str, ChannelParameter]] = {EXAMPLES: ChannelParameter(type=standard_artifacts.Examples)}


class TfdsExampleGen(base_beam_component.BaseBeamComponent):
    """Reads a dataset of labelled images into examples, in three splits."""

    SPEC_CLASS = TfdsExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, data: Data) -> None:
        """Sets up the component.

        Args:
          data: what to read, and how to split it.
        """
        values = data.model_dump(mode="json", exclude={"splits"}, exclude_none=True)
        examples = OutputChannel(standard_artifacts.Examples, self, EXAMPLES)
        spec = TfdsExampleGenSpec(**values, splits=data.splits.model_dump_json(), examples=examples)
        super().__init__(spec=spec)
