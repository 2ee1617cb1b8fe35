"""The metadata store of a pipeline: opens it, reads its runs, and keeps it true to the files of its artifacts.

Nothing here imports TFX, and thereby TensorFlow, so that listing runs does not have to wait for it.
"""

import contextlib
import json
import logging
import os
import random
import shutil
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2

from graftline.artifacts import push as noted
from graftline.artifacts.infra_blessing import BLESSED
from graftline.base.errors import UserError
from graftline.base.states import State
from graftline.serving import versions
from graftline.settings.settings import Settings

FILES = "files"  # custom property of an execution: JSON, its files and their sizes in bytes, by output folder
SECONDS, PEAK_BYTES = "seconds", "peak_bytes"  # custom properties of an execution
SETTINGS = "settings"  # custom property of a run: JSON, its settings without secrets
SECRET = {"metadata", "cluster"}  # sections of settings that may hold passwords, and do not affect results
PIPELINE, RUN, NODE = "pipeline", "pipeline_run", "node"  # types of the contexts that an execution is in

AGAIN = ".again"  # suffix for the id of a run that judges the candidate of another run again
INFERENCE = ".schema"  # suffix for the id of a run that only infers a schema for the run that follows

NEW, RUNNING = metadata_store_pb2.Execution.NEW, metadata_store_pb2.Execution.RUNNING
CACHED = metadata_store_pb2.Execution.CACHED
COMPLETE = metadata_store_pb2.Execution.COMPLETE
FAILED = metadata_store_pb2.Execution.FAILED
STATES = {COMPLETE: State.DONE, CACHED: State.CACHED, NEW: State.RUNNING, RUNNING: State.RUNNING}
ATTEMPTS = 10  # to open a server's new database
CURE = "restore a copy of it, or move it away; then the next run knows neither earlier runs nor a baseline"


class Output(NamedTuple):
    """An output of a run, by the node and the key."""

    node: str
    key: str


# The outputs that Graftline reports; other nodes may have outputs of the same types
EXAMPLES, STATISTICS = Output("TfdsExampleGen", "examples"), Output("StatisticsGen", "statistics")
DUPLICATES, REVIEW = Output("Duplicates", "report"), Output("DataGate", "review")
MODEL, MODEL_RUN = Output("Trainer", "model"), Output("Trainer", "model_run")
EVALUATION, BLESSING = Output("Evaluator", "evaluation"), Output("Evaluator", "blessing")
INFRA_BLESSING, EXPORTS = Output("ServingCheck", "blessing"), Output("Exporter", "exports")
CARD, PUSHED = Output("CardGen", "card"), Output("Pusher", "pushed_model")
REPORT = Output("ReportGen", "report")
PREDICTIONS = Output("PredictionsToTable", "table")

Listing = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Node:
    """One execution of a run, with its output artifacts.

    Attributes:
      id: the execution's id.
      name: the node's id in the DAG.
      state: according to the store.
      seconds: how long it took; 0 if it did not end.
      peak_bytes: peak memory of its process.
      outputs: artifacts by the key of the output.
    """

    id: int
    name: str
    state: State
    seconds: float
    peak_bytes: int
    outputs: dict[str, metadata_store_pb2.Artifact]


@dataclass(frozen=True)
class Run:
    """One run of a pipeline.

    Attributes:
      id: given by the runner.
      number: counts the runs of the pipeline, from 1.
      started: when its first node started.
      ended: when its last node so far ended.
      settings: those that it ran with; empty if it ran before they were recorded.
      nodes: in the order they ran.
    """

    id: str
    number: int
    started: datetime
    ended: datetime
    settings: dict[str, Any]
    nodes: list[Node]

    def output(self, output: Output) -> metadata_store_pb2.Artifact | None:
        """Returns an output artifact of the run; None if there is none."""
        return made(self.nodes, output)

    def node(self, name: str) -> Node | None:
        """Returns the last execution of a node; None if the run did not get that far."""
        return last(self.nodes, name)


def last(nodes: list[Node], name: str) -> Node | None:
    """Returns the last execution of a node; None if the run did not get that far.

    Args:
      nodes: those of a run, in the order they ran.
      name: the node's id in the DAG.
    """
    return next((node for node in reversed(nodes) if node.name == name), None)


def made(nodes: list[Node], output: Output) -> metadata_store_pb2.Artifact | None:
    """Returns an output artifact of a run; None if there is none.

    Args:
      nodes: those of the run, in the order they ran.
      output: which one.
    """
    node = last(nodes, output.node)
    return node.outputs.get(output.key) if node else None


def connection(settings: Settings) -> metadata_store_pb2.ConnectionConfig:
    """Returns how to reach the metadata store: the pipeline's own SQLite file, or a server that machines share."""
    server = settings.metadata
    if server is None:
        settings.metadata_path.parent.mkdir(parents=True, exist_ok=True)
        file = metadata_store_pb2.SqliteMetadataSourceConfig(
            filename_uri=str(settings.metadata_path),
            connection_mode=metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE,
        )
        return metadata_store_pb2.ConnectionConfig(sqlite=file)
    values = server.model_dump(exclude={"password"}) | {"password": server.password.get_secret_value()}
    return metadata_store_pb2.ConnectionConfig(mysql=metadata_store_pb2.MySQLDatabaseConfig(**values))


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[MetadataStore]:
    """Opens the metadata store of a pipeline.

    Raises:
      UserError: if it is a damaged file.
    """
    try:
        opened = _open(connection(settings))
    except RuntimeError:
        if settings.metadata is None:
            check(settings.metadata_path)
        raise
    yield opened


def check(path: Path) -> None:
    """Raises UserError if the SQLite file of a metadata store is damaged; it may be missing."""
    if path.exists() and (reason := damage(path)):
        raise UserError(f"The metadata store {path} is damaged ({reason}): {CURE}.")


def reading(path: Path) -> sqlite3.Connection:
    """Returns a connection to an existing SQLite file that is only to be read.

    It may write nevertheless: if a run was killed while it wrote, SQLite first has to undo the half of that which is
    in the file, and refuses to read where it must not.
    """
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)


def damage(path: Path) -> str | None:
    """Returns what SQLite says is wrong with a file; None if nothing is."""
    try:
        with contextlib.closing(reading(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return None if "locked" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found


def _open(config: metadata_store_pb2.ConnectionConfig) -> MetadataStore:
    for _ in range(ATTEMPTS - 1 if config.HasField("mysql") else 0):
        try:
            return MetadataStore(config)
        except RuntimeError:  # if pods start together and all make the tables, only one of them succeeds
            time.sleep(random.random())
    return MetadataStore(config)


def runs(store: MetadataStore, pipeline: str, last: int | None = None) -> list[Run]:
    """Returns the runs of a pipeline, oldest first, without those that only inferred a schema.

    Args:
      store: the metadata store.
      pipeline: name of the pipeline; a server's store may hold several.
      last: how many of the latest to read; None reads all.
    """
    context = store.get_context_by_type_and_name(PIPELINE, pipeline)
    children = store.get_children_contexts_by_context(context.id) if context else []
    contexts = sorted((child for child in children if child.type == RUN), key=lambda child: child.id)
    numbered = list(enumerate((child for child in contexts if not child.name.endswith(INFERENCE)), 1))
    return [_run(store, number, child) for number, child in (numbered if last is None else numbered[-last:])]


def _run(store: MetadataStore, number: int, context: metadata_store_pb2.Context) -> Run:
    executions = sorted(store.get_executions_by_context(context.id), key=lambda execution: execution.id)
    times = [context.create_time_since_epoch, *(execution.last_update_time_since_epoch for execution in executions)]
    return Run(
        id=context.name,
        number=number,
        started=_moment(times[0]),
        ended=_moment(max(times)),
        settings=json.loads(context.custom_properties[SETTINGS].string_value or "{}"),
        nodes=[_node(store, execution) for execution in executions],
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def nodes(store: MetadataStore, run_id: str) -> list[Node]:
    """Returns the nodes of a run in the order they ran; an empty list if it ended before its first one.

    Args:
      store: the metadata store.
      run_id: the run's id.
    """
    context = store.get_context_by_type_and_name(RUN, run_id)
    executions = store.get_executions_by_context(context.id) if context else []
    return [_node(store, execution) for execution in sorted(executions, key=lambda execution: execution.id)]


def _node(store: MetadataStore, execution: metadata_store_pb2.Execution) -> Node:
    (name,) = [context.name for context in store.get_contexts_by_execution(execution.id) if context.type == NODE]
    return Node(
        id=execution.id,
        name=name.split(".", 1)[1],
        state=STATES.get(execution.last_known_state, State.FAILED),
        seconds=execution.custom_properties[SECONDS].double_value,
        peak_bytes=peak_bytes(execution),
        outputs=outputs(store, execution.id),
    )


def peak_bytes(execution: metadata_store_pb2.Execution) -> int:
    """Returns the peak memory of an execution's process, which older runs stored as a whole number."""
    kept = execution.custom_properties[PEAK_BYTES]
    return int(kept.double_value or kept.int_value)


def outputs(store: MetadataStore, execution_id: int) -> dict[str, metadata_store_pb2.Artifact]:
    """Returns the output artifacts of an execution by the key of the output; each output has one."""
    events = store.get_events_by_execution_ids([execution_id])
    keys = {
        event.artifact_id: event.path.steps[0].key for event in events if event.type == metadata_store_pb2.Event.OUTPUT
    }
    return {keys[artifact.id]: artifact for artifact in store.get_artifacts_by_id(list(keys))}


def note_files(store: MetadataStore, execution: metadata_store_pb2.Execution) -> None:
    """Adds a list of an execution's output files to its properties; the caller stores the execution."""
    made = outputs(store, execution.id).values()
    listing = {artifact.uri: _files(Path(artifact.uri)) for artifact in made if artifact.uri}
    execution.custom_properties[FILES].string_value = json.dumps(listing)


def forget_outdated(store: MetadataStore, settings: Settings) -> None:
    """Removes outputs that lost a file or are no longer valid, so that TFX, which only looks at folders, makes them again.

    Args:
      store: the metadata store.
      settings: the pipeline's settings.
    """
    for uri in outdated(store, settings):
        shutil.rmtree(uri, ignore_errors=True)  # another pod may be doing the same


def outdated(store: MetadataStore, settings: Settings) -> set[str]:
    """Returns the folders of outputs that lost a file or are no longer valid.

    A refusal by ServingCheck is never reused: a busy minute may have caused it. A push is valid as long as its model is in
    production.

    Args:
      store: the metadata store.
      settings: the pipeline's settings; only this pipeline's refusals and pushes count.
    """
    served = versions.served(settings.push_dir)
    refused = [
        one for one in store.get_artifacts_by_type("InfraBlessing") if not one.custom_properties[BLESSED].int_value
    ]
    gone = [
        one
        for one in store.get_artifacts_by_type("PushedModel")
        if one.custom_properties[noted.PUSHED].int_value and one.custom_properties[noted.DIGEST].string_value != served
    ]
    ours = {one.uri for one in refused + gone if Path(one.uri).is_relative_to(settings.pipeline_root)}
    return ours | _damaged(store)


def _damaged(store: MetadataStore) -> set[str]:
    """Returns the folders of outputs that lost a file since they were made, and logs a warning for each."""
    found = set()
    for execution in store.get_executions():
        listing: Listing = json.loads(execution.custom_properties[FILES].string_value or "{}")
        for uri in filter(os.path.isdir, listing):
            lost = [name for name, size in listing[uri].items() if _size(Path(uri, name)) != size]
            if lost:
                logging.getLogger("absl").warning("%s is damaged or gone: %s is made again.", Path(uri, lost[0]), uri)
                found.add(uri)
    return found


def _files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
