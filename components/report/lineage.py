"""Which executions led to an artifact: a walk through the metadata store, from the artifact back to the dataset."""

from collections.abc import Iterable

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Context, Event, Execution

from components.report.content import Step
from graftline.runs import store as metadata

ASIDE = "baseline"  # prefix of the inputs that an artifact is compared with, not made from


def steps(store: MetadataStore, artifact_ids: Iterable[int]) -> list[Step]:
    """Returns the executions that led to artifacts, each after those whose outputs it read.

    Every call returns the same steps, so that what is made from them can be cached: an execution counts as cached if it is
    from an earlier run than the latest one.

    Args:
      store: the metadata store.
      artifact_ids: ids of the artifacts.
    """
    executions, read = _walk(store, artifact_ids)
    ordered = [executions[key] for key in sorted(executions)]
    runs = {execution.id: _context(store, execution, metadata.RUN).name for execution in ordered}
    names = {execution.id: _context(store, execution, metadata.NODE).name.split(".", 1)[1] for execution in ordered}
    return [
        Step(
            name=names[execution.id],
            seconds=execution.custom_properties[metadata.SECONDS].double_value,
            peak_bytes=metadata.peak_bytes(execution),
            cached=runs[execution.id] != runs[ordered[-1].id],
            inputs=sorted({names[number] for number in read[execution.id]}),
        )
        for execution in ordered
    ]


def _walk(store: MetadataStore, artifact_ids: Iterable[int]) -> tuple[dict[int, Execution], dict[int, set[int]]]:
    """Returns the executions by id, and the ids of those that each read from."""
    executions: dict[int, Execution] = {}
    read: dict[int, set[int]] = {}
    waiting: list[tuple[int, int | None]] = [(number, None) for number in artifact_ids]
    while waiting:
        artifact_id, reader = waiting.pop()
        producer = _producer(store, artifact_id)
        if producer is None:
            continue
        if reader is not None:
            read[reader].add(producer.id)
        if producer.id not in executions:
            executions[producer.id], read[producer.id] = producer, set()
            waiting += [(number, producer.id) for number in _inputs(store, producer.id)]
    return executions, read


def _producer(store: MetadataStore, artifact_id: int) -> Execution | None:
    """Returns the execution that made an artifact, not one that found it in the cache; None if it was not made here."""
    events = store.get_events_by_artifact_ids([artifact_id])
    executions = store.get_executions_by_id([event.execution_id for event in events if event.type == Event.OUTPUT])
    made = [execution for execution in executions if execution.last_known_state == metadata.COMPLETE]
    return min(made, key=lambda execution: execution.id, default=None)


def _inputs(store: MetadataStore, execution_id: int) -> list[int]:
    events = store.get_events_by_execution_ids([execution_id])
    return [
        event.artifact_id
        for event in events
        if event.type == Event.INPUT and not event.path.steps[0].key.startswith(ASIDE)
    ]


def _context(store: MetadataStore, execution: Execution, kind: str) -> Context:
    return next(context for context in store.get_contexts_by_execution(execution.id) if context.type == kind)
