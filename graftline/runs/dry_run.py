"""Says what a run would execute, what it would take from the cache, and why: `graftline run --dry-run`.

It asks TFX's own launcher, node by node, on a copy of the metadata store. It makes, keeps and removes nothing.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler.compiler import Compiler
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.orchestration import pipeline_pb2

from graftline.base.errors import UserError
from graftline.runs import runner, store
from graftline.runs.dag import CODE
from graftline.runs.stages import TRAINER
from graftline.settings.settings import Settings

RUN_ID, GONE = "dry-run", ".gone"
NEVER = "it has never run"
# Changes that a driver sees, but the store does not record
SEEN_BY_DRIVER = {
    store.EXAMPLES.node: "the images have changed",
    store.EVALUATION.node: "another model is in production",
}


@dataclass(frozen=True)
class Step:
    """What a run would do with a node.

    Attributes:
      node: its name.
      cached: whether its outputs would come from the cache.
      why: why they would not; empty if they would.
      causes: the nodes, possibly itself, that run for a reason of their own and so make it run.
    """

    node: str
    cached: bool
    why: str = ""
    causes: tuple[str, ...] = ()


def plan(settings: Settings, create_pipeline: Callable[[Settings], Pipeline]) -> list[Step]:
    """Returns what a run would do, node by node in the order of the DAG.

    Args:
      settings: the run's settings.
      create_pipeline: builds the DAG.

    Raises:
      UserError: if the metadata is on a server, which cannot be copied, or a node refuses its input.
    """
    if settings.metadata:
        raise UserError(
            "A dry run needs a copy of the metadata store, and one on a server cannot be copied: leave `metadata` out."
        )
    with tempfile.TemporaryDirectory() as folder:
        trial = settings.model_copy(update={"run": settings.run.model_copy(update={"root": Path(folder)})})
        _copy_store(settings, trial)
        run = runner.named(settings, Compiler().compile(create_pipeline(settings)), RUN_ID)
        # TFX creates folders for the outputs before it runs a node
        run.runtime_spec.pipeline_root.field_value.string_value = str(trial.pipeline_root)
        with store.opened(trial) as opened:
            gone = store.outdated(opened, settings)
            _forget(opened, gone)
        steps: list[Step] = []
        for node in run.nodes:
            steps.append(_step(settings, trial, run, node.pipeline_node, steps, gone))
        return steps


def _copy_store(settings: Settings, trial: Settings) -> None:
    trial.metadata_path.parent.mkdir(parents=True)
    if settings.metadata_path.is_file():
        with (
            closing(store.reading(settings.metadata_path)) as kept,
            closing(sqlite3.connect(trial.metadata_path)) as copy,
        ):
            kept.backup(copy)


def _forget(opened: MetadataStore, gone: Iterable[str]) -> None:
    """Hides from TFX, which looks for folders, the outputs that a run would remove first."""
    artifacts = [artifact for artifact in opened.get_artifacts() if artifact.uri in gone]
    for artifact in artifacts:
        artifact.uri += GONE
    opened.put_artifacts(artifacts)


def _step(
    settings: Settings,
    trial: Settings,
    run: pipeline_pb2.Pipeline,
    node: pipeline_pb2.PipelineNode,
    before: list[Step],
    gone: set[str],
) -> Step:
    name = node.node_info.id
    causes = sorted({cause for step in before if step.node in node.upstream_nodes for cause in step.causes})
    if causes:
        return Step(
            name, False, f"{' and '.join(causes)} {'are' if len(causes) > 1 else 'is'} not cached", tuple(causes)
        )
    if not runner.executes(run, name):  # it only looks something up, which takes no time
        runner.run_node(trial, run, node, _silent)
        return Step(name, True)
    if runner.is_cached(trial, run, name, _silent):
        return Step(name, True)
    with store.opened(trial) as opened:
        return Step(name, False, _why(settings, opened, name, gone), (name,))


def _silent(*_: object) -> None:
    """Reports nothing about a node."""


def _why(settings: Settings, opened: MetadataStore, name: str, gone: set[str]) -> str:
    """Says what has changed since a node, whose inputs all exist, last ran."""
    context = opened.get_context_by_type_and_name(store.NODE, f"{settings.name}.{name}")
    executions = opened.get_executions_by_context(context.id) if context else []
    made = [one for one in executions if one.last_known_state in (store.COMPLETE, store.CACHED)]
    if not made:
        return NEVER
    this, last = max(executions, key=lambda one: one.id), max(made, key=lambda one: one.id)
    if name == TRAINER and settings.run.force_retrain:
        return "run.force_retrain asks for it"
    if changed := _changed(this, last):
        return f"{' and '.join(changed)} changed"
    if _inputs(opened, this.id) != _inputs(opened, last.id):
        return "its input has changed"
    outputs = [artifact.uri for artifact in store.outputs(opened, last.id).values()]
    if any(uri.removesuffix(GONE) in gone or not Path(uri).exists() for uri in outputs):
        return "its output is gone, damaged or no longer valid"
    return SEEN_BY_DRIVER.get(name, "what its driver looks at has changed")


def _changed(this: metadata_store_pb2.Execution, last: metadata_store_pb2.Execution) -> list[str]:
    """Returns the execution properties that differ, in a user's words."""
    # Only the last execution has what a driver added and what was measured
    names = sorted({*this.custom_properties} & {*last.custom_properties})
    differ = [name for name in names if this.custom_properties[name] != last.custom_properties[name]]
    return ["its code, or a library," if name == CODE else name for name in differ if not name.startswith("__")]


def _inputs(opened: MetadataStore, execution_id: int) -> set[tuple[str, int]]:
    events = opened.get_events_by_execution_ids([execution_id])
    return {
        (event.path.steps[0].key, event.artifact_id)
        for event in events
        if event.type == metadata_store_pb2.Event.INPUT and event.path.steps
    }
