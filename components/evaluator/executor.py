"""Measures a candidate as TFX's Evaluator does, and blesses it where the rules of the gate are met, which decide instead."""

import json
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

from tfx.components import Evaluator  # of the whole package, which gives TFMA names that TFX's executor asks of it
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

BATCH = 64  # images that a model answers at once


class Task(NamedTuple):
    """What `extractors` are not told.

    Attributes:
      folder: where they write.
      asked: folders of the models that they ask beside the candidate, by what they are.
      leaked: ids of test images that they leave out.
    """

    folder: str
    asked: dict[str, str]
    leaked: frozenset[str]


TASK: ContextVar[Task] = ContextVar("task")


class Executor(Evaluator.EXECUTOR_SPEC.executor_class):
    """TFX's, which is given no thresholds and so blesses nothing itself."""

    def Do(  # noqa: N802 (TFX's name)
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Evaluates and decides; arguments as TFX gives them, `GATE`, `SERVING_DIR` and `OPPONENTS`.

        Raises:
          OvertakenError: where another model went into production meanwhile.
          UserError: where no test image is left to measure, or a model does not say what its classes are called.
        """
        folder = artifact_utils.get_single_uri(output_dict["evaluation"])
        (model,), (blessing,) = input_dict["model"], output_dict["blessing"]
        candidate = Path(path_utils.serving_model_path(model.uri))
        digests = json.loads(exec_properties[OPPONENTS])
        opponents = find(Path(exec_properties[SERVING_DIR]), pushes.digest(candidate), digests)
        token = TASK.set(Task(folder, {name: str(path) for name, path in opponents.items()}, _leaked(input_dict)))
        try:
            super().Do(input_dict, output_dict, exec_properties)
        finally:
            TASK.reset(token)
        names = {name: _label_names(path) for name, path in ({CANDIDATE: candidate} | opponents).items()}
        evaluation.write_classes(folder, names)
        answers = evaluation.predictions(folder)
        copies = duplicates.read(artifact_utils.get_single_uri(input_dict[DUPLICATES]))
        beside = cross_validation.run(artifact_utils.get_single_uri(input_dict[MODEL_RUN]), copies.series)
        if beside:
            held_out.write(folder, beside)
        decided = decide(answers, Gate.model_validate_json(exec_properties[GATE]), beside)
        verdict.write(folder, decided)
        blessing.set_string_custom_property(push.SERVED, digests.get(PRODUCTION, ""))
        blessing.set_string_custom_property(push.OPPONENTS, exec_properties[OPPONENTS])
        blessing.set_float_custom_property(push.ACCURACY, float(answers.right.mean()) if len(answers.labels) else 0.0)
        _bless(blessing, decided.blessed, model)


def find(directory: Path, candidate: str, digests: dict[str, str]) -> dict[str, Path]:
    """Returns the folders of the models that a candidate is held against, by what they are.

    Args:
      directory: the serving directory.
      candidate: the candidate's digest.
      digests: those of the models. Where the candidate is in production they may be gone, and are left out.

    Raises:
      OvertakenError: where one of them is gone otherwise.
    """
    folders = {name: versions.folder_of(directory, digest) for name, digest in digests.items()}
    if None in folders.values() and versions.served(directory) != candidate:
        raise OvertakenError(f"In {directory} other models are there than the candidate was to be held against.")
    return {name: folder for name, folder in folders.items() if folder}


def _label_names(model: Path) -> list[str]:
    try:
        return read_label_names(str(model / EXTRA))
    except OSError:
        raise UserError(
            f"The model in {model} does not say what its classes are called, so no other can be compared with it: put a "
            "model there that this pipeline made, or remove it."
        ) from None


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


def _bless(blessing: Artifact, blessed: bool, model: Artifact) -> None:
    """Notes on a blessing what TFX's Evaluator would: that is where TFX's components look for it."""
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, int(blessed))
    Path(blessing.uri).mkdir(parents=True, exist_ok=True)
    Path(blessing.uri, constants.BLESSED_FILE_NAME if blessed else constants.NOT_BLESSED_FILE_NAME).touch()
