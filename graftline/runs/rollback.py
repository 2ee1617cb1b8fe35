"""Takes the model in production back: `make rollback CONFIG=… WHY="…"`.

The good version before it is published again as a new, higher one, for model servers take the highest. Who did it, when and
why is kept in `pushes.jsonl` and in the metadata store, where the next run finds its baseline: the model then in production.
"""

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from graftline.base.errors import UserError
from graftline.runs import lock, store
from graftline.serving import versions
from graftline.serving.versions import Push
from graftline.settings.settings import Settings

EXECUTION_TYPE = "Rollback"


def roll_back(settings: Settings, why: str) -> Push:
    """Publishes the version before the one in production again, and notes it.

    Args:
      settings: those of the pipeline.
      why: the reason.

    Raises:
      UserError: where no reason is given, there is no version to go back to, or a push is going on.
    """
    if not why.strip():
        raise UserError('WHY is empty: say why the model is taken back, as in `make rollback WHY="…"`.')
    with lock.held(settings, lock.PUSHES, lock.PUSH_SECONDS):
        push = versions.roll_back(settings.push_dir, why)
        versions.prune(settings.push_dir, settings.run.keep_versions)
        with store.opened(settings) as opened:
            _note(opened, settings, push)
    return push


def _note(opened: MetadataStore, settings: Settings, push: Push) -> None:
    """Puts an execution with a PushedModel, as a Pusher's, into the store."""
    artifact = metadata_store_pb2.Artifact(
        type_id=opened.get_artifact_type("PushedModel").id,
        uri=str(settings.push_dir / str(push.version)),
        state=metadata_store_pb2.Artifact.LIVE,
    )
    for name, value in versions.properties(settings.push_dir, push).items():
        _set(artifact.custom_properties[name], value)
    execution_type = metadata_store_pb2.ExecutionType(name=EXECUTION_TYPE)
    execution = metadata_store_pb2.Execution(
        type_id=opened.put_execution_type(execution_type), last_known_state=store.COMPLETE
    )
    for name, value in {"who": push.who, "when": push.when, "why": push.why, "withdrawn": str(push.withdrawn)}.items():
        _set(execution.custom_properties[name], value)
    event = metadata_store_pb2.Event(type=metadata_store_pb2.Event.OUTPUT)
    step = event.path.steps.add()
    step.key = "pushed_model"
    event.path.steps.add().index = 0
    pipeline = opened.get_context_by_type_and_name("pipeline", settings.name)
    opened.put_execution(execution, [(artifact, event)], [pipeline])


def _set(value: metadata_store_pb2.Value, content: int | str) -> None:
    if isinstance(content, int):
        value.int_value = content
    else:
        value.string_value = content
