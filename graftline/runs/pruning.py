"""Removes old results of earlier runs, by one rule for features, checkpoints, and the runs themselves.

Anything that was touched within a day stays, because somebody may be using it. Of the rest, the latest stay: so many folders
of cached features, so many of checkpoints, so many runs. Of a run that is removed, an artifact stays if a kept run used it
too, or if it belongs to a model that is in production, was its baseline, or is the best that ever was in production. So
everything stays that TFX's cache could serve to another run of what ran lately.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto.metadata_store_pb2 import Artifact

from graftline.artifacts.push import DIGEST, MODEL_ID
from graftline.base.aliases import shown
from graftline.base.paths import in_use, size_on_disk
from graftline.runs import store
from graftline.serving import versions
from graftline.settings.settings import Settings

KINDS = ("features", "checkpoints", "tuning")  # folders in the work directory
SYSTEM = ".system"  # TFX's own folder of a node, next to its outputs


@dataclass(frozen=True)
class Place:
    """A place on the disk, and which of its folders would be removed.

    Attributes:
      name: what it holds.
      path: where it is.
      kept: folders that stay.
      goes: folders that the next run removes.
    """

    name: str
    path: Path
    kept: list[Path]
    goes: list[Path]


def prune(settings: Settings) -> None:
    """Removes everything that does not stay; the caller holds the pipeline's run lock.

    Args:
      settings: the pipeline's settings.
    """
    for place in _work(settings):
        _remove(place.goes)
    with store.opened(settings) as opened:
        outdated = _outdated(opened, settings)
        _forget(opened, outdated)  # first, so that nothing looks for what is being removed
    _remove(outdated)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # a run of another pipeline may be pruning too


def places(settings: Settings) -> list[Place]:
    """Returns the places on the disk, with what the next run removes."""
    with store.opened(settings) as opened:
        outdated = _outdated(opened, settings)
    kept = [folder for folder in _of_executions(settings) if folder not in outdated]
    pushed = [path for path in settings.push_dir.glob("*") if path.is_dir()]
    return [
        Place("artifacts of runs", settings.pipeline_root, kept, outdated),
        Place("pushed versions", settings.push_dir, pushed, []),
        *_work(settings),
    ]


def told(settings: Settings) -> Iterator[str]:
    """Yields a line for each place: what it holds, and what the next run removes."""
    for place in places(settings):
        if place.kept or place.goes:
            going = f"; the next run removes {len(place.goes):,} ({_size(place.goes)})" if place.goes else ""
            every = place.kept + place.goes
            yield f"{place.name}: {len(every):,} folders, {_size(every)}, in {shown(place.path)}{going}"


def _size(folders: list[Path]) -> str:
    """Returns the disk space that folders take, in words."""
    return f"{size_on_disk(folders) / 1e6:,.1f} MB"


def _work(settings: Settings) -> Iterator[Place]:
    for kind in KINDS:
        folders = sorted((settings.work_dir / kind).glob("*"), key=lambda folder: folder.stat().st_mtime)
        goes = [folder for folder in folders[: -settings.run.keep_work_dirs] if not in_use(folder)]
        yield Place(f"cached {kind}", settings.work_dir / kind, [one for one in folders if one not in goes], goes)


def _of_executions(settings: Settings) -> Iterator[Path]:
    """Yields the folders of the pipeline's executions, which are named by their ids: their outputs, and TFX's own."""
    yield from (path for path in settings.pipeline_root.glob("*/*/*") if path.parent.name != SYSTEM)
    yield from settings.pipeline_root.glob(f"*/{SYSTEM}/*/*")


def _outdated(opened: MetadataStore, settings: Settings) -> list[Path]:
    """Returns the folders of runs that are not kept, except those that something else needs."""
    runs = store.runs(opened, settings.name, last=settings.run.keep_runs)
    if len(runs) < settings.run.keep_runs:
        return []
    executions = [node.id for run in runs for node in run.nodes]
    needed = opened.get_artifacts_by_id(sorted(_touched(opened, executions) | _of_models(opened, settings.push_dir)))
    stay, kept = {artifact.uri for artifact in needed}, set(map(str, executions))
    return [
        folder
        for folder in _of_executions(settings)
        if folder.name not in kept and str(folder) not in stay and not in_use(folder)
    ]


def _touched(opened: MetadataStore, executions: list[int]) -> set[int]:
    """Returns the ids of the artifacts that executions read or made."""
    return {event.artifact_id for event in opened.get_events_by_execution_ids(executions)} if executions else set()


def _of_models(opened: MetadataStore, push_dir: Path) -> set[int]:
    """Returns the ids of the models that always stay, of what they were made from, and of what was made from them."""
    models = _models(opened, push_dir)
    if not models:
        return set()
    around = [event.execution_id for event in opened.get_events_by_artifact_ids(models)]
    return _touched(opened, around) | models


def _models(opened: MetadataStore, push_dir: Path) -> set[int]:
    """Returns the ids of the model in production, of those it was compared with, and of the best that ever was there."""
    current, top = versions.production(push_dir), versions.best(push_dir)
    digests = {push.digest for push in (current, top) if push} | set(current.opponents.values() if current else ())
    return {
        push.custom_properties[MODEL_ID].int_value
        for push in opened.get_artifacts_by_type("PushedModel")
        if push.custom_properties[DIGEST].string_value in digests
    }


def _forget(opened: MetadataStore, folders: list[Path]) -> None:
    """Marks the artifacts in some folders as deleted."""
    gone = {str(folder) for folder in folders}
    artifacts = [one for one in opened.get_artifacts() if one.uri in gone] if gone else []
    for artifact in artifacts:
        artifact.state = Artifact.DELETED
    if artifacts:
        opened.put_artifacts(artifacts)
