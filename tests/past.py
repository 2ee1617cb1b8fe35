"""Runs as TFX's launcher records them in the metadata store, written without running anything."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from graftline.runs import store
from graftline.settings.settings import Settings

Values = dict[str, str | int | float]
INPUT, OUTPUT = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT


TYPES = {
    ("Evaluator", "blessing"): "ModelBlessing",
    ("ServingCheck", "blessing"): "InfraBlessing",
    ("Pusher", "pushed_model"): "PushedModel",
}  # as TFX names them


@dataclass
class Made:
    """One node of a run.

    Attributes:
      name: its id in the DAG.
      outputs: custom properties of its output artifacts, by key; or ids of existing artifacts, as from a cache.
      state: the execution's.
      uri: where its artifacts are.
      inputs: ids of the artifacts that it read, by key.
    """

    name: str
    outputs: dict[str, Values | int] = field(default_factory=dict)
    state: int = store.COMPLETE
    uri: str = "/gone"
    inputs: dict[str, int] = field(default_factory=dict)


def settings_of(root: Path, **changes: Any) -> Settings:
    """Returns settings for the digits, with a folder of their own."""
    run = {"root": root, "serving_dir": root / "serving"}
    return Settings(
        **{"name": "digits", "data": {"dataset": "digits"}, "gate": {"min_accuracy": 0.5}, "run": run} | changes
    )


def write(settings: Settings, run_id: str, *nodes: Made) -> dict[str, int]:
    """Writes a run, and returns the ids of its artifacts by the key of the output."""
    with store.opened(settings) as opened:
        pipeline = _context(opened, store.PIPELINE, settings.name)
        kept = settings.model_dump_json(exclude=store.SECRET)
        run = _context(opened, store.RUN, run_id, {store.SETTINGS: kept})
        if not opened.get_parent_contexts_by_context(run.id):
            opened.put_parent_contexts([metadata_store_pb2.ParentContext(child_id=run.id, parent_id=pipeline.id)])
        found: dict[str, int] = {}
        for node in nodes:
            contexts = [pipeline, run, _context(opened, store.NODE, f"{settings.name}.{node.name}")]
            found |= _write_node(opened, node, contexts)
        return found


def _write_node(opened: MetadataStore, node: Made, contexts: list[metadata_store_pb2.Context]) -> dict[str, int]:
    kind = opened.put_execution_type(metadata_store_pb2.ExecutionType(name=node.name))
    execution = metadata_store_pb2.Execution(type_id=kind, last_known_state=node.state)
    _set(execution, {store.SECONDS: 1.5, store.PEAK_BYTES: 2_000_000_000})
    made = [(_artifact(opened, node, key, given), output_event(key)) for key, given in node.outputs.items()]
    read = [(_artifact(opened, node, key, given), _event(key, INPUT)) for key, given in node.inputs.items()]
    _, ids, _ = opened.put_execution(execution, made + read, contexts)
    return dict(zip(node.outputs, ids, strict=False))


def output_event(key: str) -> metadata_store_pb2.Event:
    """Returns the event that marks an artifact as an execution's output under a key."""
    return _event(key, OUTPUT)


def _event(key: str, kind: int) -> metadata_store_pb2.Event:
    step = metadata_store_pb2.Event.Path.Step(key=key)
    return metadata_store_pb2.Event(type=kind, path=metadata_store_pb2.Event.Path(steps=[step]))


def _artifact(opened: MetadataStore, node: Made, key: str, given: Values | int) -> metadata_store_pb2.Artifact:
    if isinstance(given, int):
        (artifact,) = opened.get_artifacts_by_id([given])
        return artifact
    type_id = opened.put_artifact_type(
        metadata_store_pb2.ArtifactType(name=TYPES.get((node.name, key), f"{node.name}.{key}"))
    )
    artifact = metadata_store_pb2.Artifact(type_id=type_id, uri=node.uri)
    _set(artifact, given)
    return artifact


def _context(opened: MetadataStore, kind: str, name: str, values: Values | None = None) -> metadata_store_pb2.Context:
    found = opened.get_context_by_type_and_name(kind, name)
    if found is not None:
        return found
    type_id = opened.put_context_type(metadata_store_pb2.ContextType(name=kind))
    context = metadata_store_pb2.Context(type_id=type_id, name=name)
    _set(context, values or {})
    (number,) = opened.put_contexts([context])
    (context,) = opened.get_contexts_by_id([number])
    return context


def _set(item: Any, values: Values) -> None:
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    for name, value in values.items():
        setattr(item.custom_properties[name], kinds[type(value)], value)


def accurate(phase_1: float, phase_2: float) -> Values:
    """Returns the properties that the Trainer puts on a Model with these accuracies on both held-out splits."""
    by_phase = {1: phase_1, 2: phase_2}
    splits = ("validation", "test")
    return {f"phase_{phase}_{split}_accuracy": value for phase, value in by_phase.items() for split in splits}
