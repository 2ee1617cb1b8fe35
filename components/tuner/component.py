"""The Tuner: TFX's Tuner with our `tuner_fn`."""

from typing import Any

from tfx.components.tuner import component
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types.channel import BaseChannel

from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.settings.training import Tuning
from graftline.training.driver import Driver


class Tuner(component.Tuner):
    """TFX's Tuner, which looks at the pretrained weights before the cache is consulted."""

    DRIVER_CLASS = Driver


def tuner(examples: BaseChannel, transform_graph: BaseChannel, config: dict[str, Any], tuning: Tuning) -> Tuner:
    """Returns the node that searches hyperparameters for the Trainer.

    Args:
      examples: the encoded images.
      transform_graph: the graph that they go through.
      config: the Trainer's configuration.
      tuning: what to search.
    """
    return Tuner(
        examples=examples,
        transform_graph=transform_graph,
        tuner_fn="components.tuner.tuner_fn.tuner_fn",
        train_args=TrainArgs(splits=[TRAIN]),
        eval_args=EvalArgs(splits=[VALIDATION]),
        custom_config=config | {"tuning": tuning.model_dump(mode="json")},
    )
