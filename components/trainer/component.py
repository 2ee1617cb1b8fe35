"""The Trainer: TFX's Trainer with our `run_fn`."""

from typing import Any

from tfx.components.trainer import component
from tfx.dsl.components.base import executor_spec
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types.channel import BaseChannel

from components.trainer.executor import TrainerExecutor
from graftline.artifacts.examples import TRAIN, VALIDATION
from graftline.training.driver import Driver


class Trainer(component.Trainer):
    """TFX's Trainer, which looks at the pretrained weights before the cache is consulted."""

    DRIVER_CLASS = Driver


def trainer(
    examples: BaseChannel,
    transform_graph: BaseChannel,
    config: dict[str, Any],
    hyperparameters: BaseChannel | None = None,
) -> Trainer:
    """Returns the node that trains and exports a model.

    Args:
      examples: the encoded images.
      transform_graph: the graph that they go through.
      config: as `graftline.training.config` makes it.
      hyperparameters: what the Tuner found, which overrides `config`; None if there is no Tuner.
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
