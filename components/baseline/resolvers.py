"""Finds the baseline of the data: the statistics of the data that the model in production was trained on."""

from pathlib import Path

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Event
from tfx.dsl.components.common import resolver
from tfx.types import Artifact

from graftline.artifacts.push import DIGEST, MODEL_ID
from graftline.serving import versions

CURRENT, STATISTICS, PUSHED = "current", "statistics", "pushed_model"
SERVING_DIR = "serving_dir"


class ProductionDataStrategy(resolver.ResolverStrategy):
    """Resolves the statistics of the data that the model in production was trained on, unless it is the current data.

    If this store has no push of that model, it was trained elsewhere, and nothing is known about its data.
    """

    def __init__(self, serving_dir: str) -> None:
        """Takes the folder of the pushed versions."""
        self._directory = Path(serving_dir)

    def resolve_artifacts(
        self, store: MetadataStore, input_dict: dict[str, list[Artifact]]
    ) -> dict[str, list[Artifact]]:
        """Returns the current statistics unchanged, those of the model in production if there are any, and no pushes.

        Args:
          store: the metadata store.
          input_dict: `current`, and all statistics and pushes so far.
        """
        (current,) = input_dict[CURRENT]
        served = versions.served(self._directory)
        pushed = [push for push in input_dict[PUSHED] if served and push.get_string_custom_property(DIGEST) == served]
        models = {push.get_int_custom_property(MODEL_ID) for push in pushed}
        trained_on = _across(store, models, came=Event.OUTPUT, went=Event.INPUT)
        made_of_it = _across(store, trained_on, came=Event.INPUT, went=Event.OUTPUT) - {current.id}
        found = [statistics for statistics in input_dict[STATISTICS] if statistics.id in made_of_it]
        return {CURRENT: [current], STATISTICS: found[-1:], PUSHED: []}


def _across(store: MetadataStore, artifacts: set[int], came: int, went: int) -> set[int]:
    """Returns the ids of artifacts on one side (`went`) of the executions with the given ones on the other (`came`)."""
    executions = [event.execution_id for event in store.get_events_by_artifact_ids(artifacts) if event.type == came]
    return {event.artifact_id for event in store.get_events_by_execution_ids(executions) if event.type == went}
