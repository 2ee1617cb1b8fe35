"""Measures a candidate as TFX's Evaluator does, but lets the rules of the gate decide whether to bless it."""

import json
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from tfx.components import Evaluator  # from the whole package, which gives TFMA names that TFX's executor needs
from tfx.components.evaluator import constants
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.evaluator import cross_validation
from components.evaluator.component import DUPLICATES, GATE, MODEL_RUN, OPPONENTS, SERVING_DIR
from components.evaluator.rules import decide
from graftline.artifacts import duplicates, evaluation, held_out, push, verdict
from graftline.artifacts.evaluation import CANDIDATE
from graftline.artifacts.examples import COUNTS, EXTRA, TEST, read_label_names
from graftline.base.errors import UserError
from graftline.serving import pushes, versions
from graftline.serving.versions import PRODUCTION, OvertakenError
from graftline.settings.gate import Gate

BATCH = 64  # images per call of a model


class Task(NamedTuple):
    """What `extractors` need besides TFMA's arguments.

    Attributes:
      folder: where they write.
      asked: folders of the models that they ask, the candidate and those that it is compared with, by their role.
      leaked: ids of test images that they leave out.
    """

    folder: str
    asked: dict[str, str]
    leaked: frozenset[str]


TASK: ContextVar[Task] = ContextVar("task")


class Executor(Evaluator.EXECUTOR_SPEC.executor_class):
    """TFX's executor, which gets no thresholds and so blesses nothing itself."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates and decides; arguments as TFX gives them, `GATE`, `SERVING_DIR` and `OPPONENTS`.

        Raises:
          OvertakenError: if another model went into production in the meantime.
          UserError: if no test image is left to measure, or a model does not say what its classes are called.
        """
        folder = artifact_utils.get_single_uri(output_dict["evaluation"])
        (model,), (blessing,) = input_dict["model"], output_dict["blessing"]
        candidate = Path(path_utils.serving_model_path(model.uri))
        digests = json.loads(exec_properties[OPPONENTS])
        opponents = find(Path(exec_properties[SERVING_DIR]), pushes.digest(candidate), digests)
        models = {CANDIDATE: candidate} | opponents
        token = TASK.set(Task(folder, {name: str(path) for name, path in models.items()}, _leaked(input_dict)))
        try:
            super().Do(input_dict, output_dict, exec_properties)
        finally:
            TASK.reset(token)
        names = {name: _label_names(path) for name, path in models.items()}
        evaluation.write_classes(folder, names)
        answers = evaluation.predictions(folder)
        copies = duplicates.read(artifact_utils.get_single_uri(input_dict[DUPLICATES]))
        cross_validated = cross_validation.run(artifact_utils.get_single_uri(input_dict[MODEL_RUN]), copies.series)
        if cross_validated:
            held_out.write(folder, cross_validated)
        decided = decide(answers, Gate.model_validate_json(exec_properties[GATE]), cross_validated)
        verdict.write(folder, decided)
        blessing.set_string_custom_property(push.SERVED, digests.get(PRODUCTION, ""))
        blessing.set_string_custom_property(push.OPPONENTS, exec_properties[OPPONENTS])
        blessing.set_float_custom_property(push.ACCURACY, float(answers.right.mean()) if len(answers.labels) else 0.0)
        _bless(blessing, decided.blessed, model)


def find(directory: Path, candidate: str, digests: dict[str, str]) -> dict[str, Path]:
    """Returns the folders of the models that a candidate is compared with, by their role.

    Args:
      directory: the serving directory.
      candidate: the candidate's digest.
      digests: the models' digests. If the candidate is in production, models may be gone, and are left out.

    Raises:
      OvertakenError: if a model is gone although the candidate is not in production.
    """
    folders = {name: versions.folder_of(directory, digest) for name, digest in digests.items()}
    if None in folders.values() and versions.served(directory) != candidate:
        raise OvertakenError(
            f"The models in {directory} are no longer those that the candidate is to be compared with."
        )
    return {name: folder for name, folder in folders.items() if folder}


def _label_names(model: Path) -> list[str]:
    try:
        return read_label_names(str(model / EXTRA))
    except OSError:
        raise UserError(
            f"The model in {model} does not say what its classes are called, so no candidate can be compared with it: "
            "replace it with a model that this pipeline made, or remove it."
        ) from None


def _leaked(input_dict: dict[str, list[Artifact]]) -> frozenset[str]:
    """Returns the ids of the test images that look like a training image, and so prove nothing about a candidate."""
    leaked = frozenset(duplicates.read(artifact_utils.get_single_uri(input_dict[DUPLICATES])).leaked_ids)
    counts = json.loads(artifact_utils.get_single_instance(input_dict["examples"]).get_string_custom_property(COUNTS))
    if len(leaked) >= sum(counts[TEST].values()):
        raise UserError(
            f"All {len(leaked):,} test images look like a training image, such as {min(leaked)!r}, so there is nothing to "
            "measure: keep one image of each series, or add images of other things."
        )
    return leaked


def _bless(blessing: Artifact, blessed: bool, model: Artifact) -> None:
    """Records on a blessing what TFX's Evaluator would, because TFX's components look for it there."""
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME).touch()
