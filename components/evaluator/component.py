"""The Evaluator: TFX's measures a candidate, and keeps what the models answered; the rules of the gate decide by that."""

import json
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from tfx.components.evaluator import component, constants, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import Artifact, artifact_utils
from tfx.types.channel import BaseChannel
from tfx.types.component_spec import ChannelParameter

from components.evaluator.config import eval_config
from components.evaluator.rules import decide
from graftline.artifacts import duplicates, evaluation, verdict
from graftline.artifacts.duplicates import DuplicatesReport
from graftline.artifacts.examples import COUNTS, TEST
from graftline.artifacts.push import SERVED
from graftline.base.errors import UserError
from graftline.serving import versions
from graftline.settings.gate import Gate

BATCH = 64  # images that a model answers at once
GATE = "gate"  # a property of an execution: `Gate` as JSON
DUPLICATES = "duplicates"  # an input: what the component of that name found
SERVING_DIR = "serving_dir"  # another one: where the model in production is
FOLDER: ContextVar[str] = ContextVar("folder")  # where `extractors` write, who are not told
LEAKED: ContextVar[frozenset[str]] = ContextVar("leaked")  # ids of test images that they leave out


class Executor(executor.Executor):
    """TFX's, which is given no thresholds and so blesses nothing itself."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates and decides; arguments as TFX gives them, `GATE` and `SERVING_DIR`.

        Raises:
          UserError: where no test image is left to measure.
        """
        folder = artifact_utils.get_single_uri(output_dict["evaluation"])
        tokens = FOLDER.set(folder), LEAKED.set(_leaked(input_dict))
        try:
            super().Do(input_dict, output_dict, exec_properties)
        finally:
            FOLDER.reset(tokens[0])
            LEAKED.reset(tokens[1])
        decided = decide(evaluation.predictions(folder), Gate.model_validate_json(exec_properties[GATE]))
        verdict.write(folder, decided)
        (blessing,) = output_dict["blessing"]
        baseline = input_dict.get("baseline_model") or []
        held_against = versions.pushed_as(Path(exec_properties[SERVING_DIR]), baseline[0].id if baseline else None)
        blessing.set_string_custom_property(SERVED, held_against)
        _bless(blessing, decided.blessed, [("current", *input_dict["model"]), *(("baseline", one) for one in baseline)])


def _leaked(input_dict: dict[str, list[Artifact]]) -> frozenset[str]:
    """Returns the ids of the test images that look like one of training, and so tell nothing of a candidate."""
    leaked = frozenset(duplicates.read(artifact_utils.get_single_uri(input_dict[DUPLICATES])).leaked_ids)
    counts = json.loads(artifact_utils.get_single_instance(input_dict["examples"]).get_string_custom_property(COUNTS))
    if len(leaked) >= sum(counts[TEST].values()):
        raise UserError(
            f"All {len(leaked):,} images of the test split look like one of training, such as {min(leaked)!r}, so nothing "
            "can be measured: keep one image of each series, or add images of other things."
        )
    return leaked


def _bless(blessing: Artifact, blessed: bool, models: list[tuple[str, Artifact]]) -> None:
    """Notes on a blessing what TFX's Evaluator would: that is where TFX's components look for it."""
    for name, model in models:
        blessing.set_string_custom_property(f"{name}_model", model.uri)
        blessing.set_int_custom_property(f"{name}_model_id", model.id)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME).touch()


class Evaluator(component.Evaluator):
    """TFX's, with that executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        examples: BaseChannel,
        duplicates: BaseChannel,
        model: BaseChannel,
        baseline: BaseChannel,
        gate: Gate,
        serving_dir: Path,
    ) -> None:
        """Sets up the component.

        Args:
          examples: of which the test split is used.
          duplicates: what Duplicates found in them.
          model: the candidate.
          baseline: the model in production, where there is one.
          gate: what is demanded.
          serving_dir: folder of the versions that were pushed.
        """
        super().__init__(
            examples=examples,
            model=model,
            baseline_model=baseline,
            eval_config=eval_config(),
            example_splits=[TEST],
            module_path="components.evaluator.extractors",
        )
        self.spec.INPUTS = self.spec.INPUTS | {DUPLICATES: ChannelParameter(type=DuplicatesReport)}
        self.spec.inputs[DUPLICATES] = duplicates
        self.exec_properties[GATE] = gate.model_dump_json(exclude={"max_export_drop"})  # the Exporter's
        self.exec_properties[SERVING_DIR] = str(serving_dir)
