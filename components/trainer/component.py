"""The Trainer: TFX's, with the function of `run_fn`."""

from typing import Any

from tfx.components.trainer import component
from tfx.dsl.components.base import executor_spec
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types.channel import BaseChannel

from components.trainer.executor import TrainerExecutor
from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.training.driver import Driver


class Trainer(component.Trainer):
    """TFX's, which looks at the pretrained weights before the cache is asked."""

    DRIVER_CLASS = Driver


def trainer(
    examples: BaseChannel,
    transform_graph: BaseChannel,
    config: dict[str, Any],
    hyperparameters: BaseChannel | None = None,
) -> Trainer:
    """Returns the node that trains, and exports a model.

    Args:
      examples: the images as they are encoded.
      transform_graph: what they go through.
      config: as `graftline.training.config` makes it.
      hyperparameters: what comes before it, where something was searched.
    """
    return Trainer(
        run_fn="components.trainer.run_fn.run_fn",
        examples=examples,
        transform_graph=transform_graph,
        hyperparameters=hyperparameters,
        train_args=TrainArgs(splits=[TRAIN]),
        eval_args=EvalArgs(splits=[VALIDATION]),
        custom_config=config,
        custom_executor_spec=executor_spec.ExecutorClassSpec(TrainerExecutor),
    )
