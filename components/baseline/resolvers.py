"""How the baseline is found: the model in production, which a candidate must not be worse than, and the data it saw."""

import logging

import tensorflow as tf
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Event
from tfx.dsl.components.common import resolver
from tfx.types import Artifact
from tfx.utils import io_utils, path_utils

from graftline.artifacts import push as pusher
from graftline.artifacts.push import DESTINATION, MODEL_ID
from graftline.base.errors import UserError

CANDIDATE, MODEL, BLESSING, PUSHED = "candidate", "model", "model_blessing", "pushed_model"
CURRENT, STATISTICS = "current", "statistics"


class ProductionStrategy(resolver.ResolverStrategy):
    """Resolves the model in production, as long as that is not the candidate itself.

    TFX's own strategy takes the latest blessed one: that may have been rolled back, or be the cached candidate of a second
    run, which would be compared with itself, evaluated again and pushed again. Here a candidate that is in production meets
    the baseline that it met before.
    """

    def resolve_artifacts(self, store: object, input_dict: dict[str, list[Artifact]]) -> dict[str, list[Artifact]]:
        """Returns the candidate as it is, the baseline and its blessing, both empty where there is none, and no push.

        Args:
          store: the metadata store, unused: all that counts is on the artifacts.
          input_dict: `candidate`, and all models, blessings and pushes so far.

        Raises:
          UserError: where the baseline's files are gone everywhere; to compare with nothing would bless anything.
        """
        candidate = input_dict[CANDIDATE][0]
        models = {model.id: model for model in input_dict[MODEL]}
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict[BLESSING]
            if blessing.get_int_custom_property("blessed")
        }
        in_production = _in_production(input_dict[PUSHED])
        if in_production == candidate.id and candidate.id in blessings:
            in_production = blessings[candidate.id].get_int_custom_property("baseline_model_id")
        found = [in_production] if in_production in models and in_production in blessings else []
        for number in found:
            _restore(models[number], input_dict[PUSHED])
        return {
            CANDIDATE: [candidate],
            MODEL: [models[number] for number in found],
            BLESSING: [blessings[number] for number in found],
            PUSHED: [],
        }


class ProductionDataStrategy(resolver.ResolverStrategy):
    """Resolves the statistics of what the model in production was trained on, unless that is the very same data."""

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]]:
        """Returns the current statistics as they are, those of the model in production or none, and no push.

        Args:
          store: the metadata store.
          input_dict: `current`, and all statistics and pushes so far.
        """
        (current,) = input_dict[CURRENT]
        in_production = _in_production(input_dict[PUSHED])
        model = set() if in_production is None else {in_production}
        trained_on = _across(store, model, came=Event.OUTPUT, went=Event.INPUT)
        made_of_it = _across(store, trained_on, came=Event.INPUT, went=Event.OUTPUT) - {current.id}
        found = [statistics for statistics in input_dict[STATISTICS] if statistics.id in made_of_it]
        return {CURRENT: [current], STATISTICS: found[-1:], PUSHED: []}


def _restore(model: Artifact, pushes: list[Artifact]) -> None:
    """Copies a model's files back from where it is served, where they are gone."""
    files = path_utils.serving_model_path(model.uri)
    if tf.io.gfile.exists(files):
        return
    served = [
        push.get_string_custom_property(DESTINATION)
        for push in pushes
        if push.get_int_custom_property(pusher.PUSHED) and push.get_int_custom_property(MODEL_ID) == model.id
    ]
    source = next((folder for folder in served if tf.io.gfile.exists(folder)), None)
    if source is None:
        raise UserError(
            f"The files of a model in production are gone from {model.uri} and from where it was served, so no candidate "
            "can be compared with it: put them back, or `make rollback` to a version that is there."
        )
    logging.getLogger("absl").warning("%s is gone: it is restored from %s.", files, source)
    io_utils.copy_dir(source, f"{files}.aside")
    tf.io.gfile.rename(f"{files}.aside", files)


def _in_production(pushes: list[Artifact]) -> int | None:
    """Returns the id of the model that was pushed last."""
    served = [
        push.get_int_custom_property(MODEL_ID)
        for push in sorted(pushes, key=lambda push: push.id)
        if push.get_int_custom_property(pusher.PUSHED)
    ]
    return served[-1] if served else None


def _across(store: MetadataStore, artifacts: set[int], came: int, went: int) -> set[int]:
    """Returns the ids of what executions have as one kind of event where they have some of the artifacts as another."""
    executions = [event.execution_id for event in store.get_events_by_artifact_ids(artifacts) if event.type == came]
    return {event.artifact_id for event in store.get_events_by_execution_ids(executions) if event.type == went}
