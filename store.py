"""The metadata store of a pipeline: opened, and kept true to the files that its artifacts stand for."""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata

from settings import Settings

FILES = "files"  # custom property of an execution: JSON, the files it left and their sizes in bytes, by output folder
CACHED = metadata_store_pb2.Execution.CACHED
COMPLETE = metadata_store_pb2.Execution.COMPLETE

Listing = dict[str, dict[str, int]]


def connection(settings: Settings) -> metadata_store_pb2.ConnectionConfig:
    """Returns how the metadata store is reached: a SQLite file of the pipeline's own, or a server that machines share."""
    server = settings.metadata
    if server is None:
        settings.metadata_path.parent.mkdir(parents=True, exist_ok=True)
        return metadata.sqlite_metadata_connection_config(str(settings.metadata_path))
    password = server.password.get_secret_value()
    config = metadata.mysql_metadata_connection_config(server.host, server.port, server.database, server.user, password)
    config.mysql.socket = server.socket
    return config


@contextmanager
def opened(settings: Settings) -> Iterator[MetadataStore]:
    """Opens the metadata store of a pipeline."""
    with metadata.Metadata(connection(settings)) as handle:
        yield handle.store


def outputs(store: MetadataStore, execution_id: int) -> list[metadata_store_pb2.Artifact]:
    """Returns the output artifacts of an execution."""
    events = store.get_events_by_execution_ids([execution_id])
    return store.get_artifacts_by_id(
        [event.artifact_id for event in events if event.type == metadata_store_pb2.Event.OUTPUT]
    )


def note_files(store: MetadataStore, execution: metadata_store_pb2.Execution) -> None:
    """Puts a list of the files that an execution left among its properties; the caller stores the execution."""
    listing = {artifact.uri: _files(Path(artifact.uri)) for artifact in outputs(store, execution.id) if artifact.uri}
    execution.custom_properties[FILES].string_value = json.dumps(listing)


def forget_damaged(store: MetadataStore) -> None:
    """Removes outputs that lost a file since they were made, so that TFX, which looks at folders alone, makes them again."""
    for execution in store.get_executions():
        listing: Listing = json.loads(execution.custom_properties[FILES].string_value or "{}")
        for uri in filter(os.path.isdir, listing):
            lost = [name for name, size in listing[uri].items() if _size(Path(uri, name)) != size]
            if lost:
                logging.getLogger("absl").warning("%s is damaged or gone: %s is made again.", Path(uri, lost[0]), uri)
                shutil.rmtree(uri)


def _files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in sorted(folder.rglob("*")) if path.is_file()}


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
