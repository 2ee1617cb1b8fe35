"""The Evaluator: TFX's, which keeps what the models answered beside what it measured."""

from contextvars import ContextVar
from typing import Any

from tfx.components.evaluator import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import Artifact, artifact_utils
from tfx.types.channel import BaseChannel

from components.evaluator.config import eval_config
from graftline.artifacts.examples import TEST
from graftline.settings.gate import Gate

BATCH = 64  # images that a model answers at once
FOLDER: ContextVar[str] = ContextVar("folder")  # where `extractors` write, who are not told


class Executor(executor.Executor):
    """TFX's, which keeps what the models answered beside what it measured."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates; arguments as TFX gives them."""
        token = FOLDER.set(artifact_utils.get_single_uri(output_dict["evaluation"]))
        try:
            super().Do(input_dict, output_dict, exec_properties)
        finally:
            FOLDER.reset(token)


class Evaluator(component.Evaluator):
    """TFX's, with that executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self, examples: BaseChannel, model: BaseChannel, baseline: BaseChannel, gate: Gate, num_classes: int
    ) -> None:
        """Sets up the component.

        Args:
          examples: of which the test split is used.
          model: the candidate.
          baseline: the model in production, where there is one.
          gate: what is demanded.
          num_classes: number of classes, two or more.
        """
        super().__init__(
            examples=examples,
            model=model,
            baseline_model=baseline,
            eval_config=eval_config(gate, num_classes),
            example_splits=[TEST],
            module_path="components.evaluator.extractors",
        )
