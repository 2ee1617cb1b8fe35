"""What of earlier runs is removed, and what stays: one rule for features, checkpoints, and the runs themselves.

Nothing goes that was touched within a day, for somebody may be using it. Of what is older the latest stay: so many folders
of cached features, so many of checkpoints, so many runs. What a run made that goes stays where a run that stays used it
too, or where it is of a model that is in production, was its baseline, or is the best that ever was in production: all that
TFX's cache could serve to the next run of what ran lately.
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
SYSTEM = ".system"  # TFX's own folder of a node, beside its outputs


@dataclass(frozen=True)
class Place:
    """What is on the disk, and what of it would be removed.

    Attributes:
      name: what it is.
      path: where it lies.
      kept: folders that stay.
      goes: folders that the next run removes.
    """

    name: str
    path: Path
    kept: list[Path]
    goes: list[Path]


def prune(settings: Settings) -> None:
    """Removes what is not to be kept; the caller holds the lock of the pipeline's runs.

    Args:
      settings: those of the pipeline.
    """
    for place in _work(settings):
        _remove(place.goes)
    with store.opened(settings) as opened:
        outdated = _outdated(opened, settings)
        _forget(opened, outdated)  # first, so that nothing looks for what is being removed
    _remove(outdated)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)  # a run of another pipeline may prune too


def places(settings: Settings) -> list[Place]:
    """Returns what lies where on the disk, and what of it the next run removes."""
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
    """Yields a line for each place: what it holds, and what of it the next run removes."""
    for place in places(settings):
        if place.kept or place.goes:
            going = f"; the next run removes {len(place.goes):,}, {_size(place.goes)}" if place.goes else ""
            every = place.kept + place.goes
            yield f"{place.name}: {len(every):,} folders, {_size(every)}, in {shown(place.path)}{going}"


def _size(folders: list[Path]) -> str:
    """Returns what folders take of the disk, in words."""
    return f"{size_on_disk(folders) / 1e6:,.1f} MB"


def _work(settings: Settings) -> Iterator[Place]:
    for kind in KINDS:
        folders = sorted((settings.work_dir / kind).glob("*"), key=lambda folder: folder.stat().st_mtime)
        goes = [folder for folder in folders[: -settings.run.keep_work_dirs] if not in_use(folder)]
        yield Place(f"cached {kind}", settings.work_dir / kind, [one for one in folders if one not in goes], goes)


def _of_executions(settings: Settings) -> Iterator[Path]:
    """Yields the folders of the pipeline's executions, which are named by their ids: outputs, and what TFX keeps."""
    yield from (path for path in settings.pipeline_root.glob("*/*/*") if path.parent.name != SYSTEM)
    yield from settings.pipeline_root.glob(f"*/{SYSTEM}/*/*")


def _outdated(opened: MetadataStore, settings: Settings) -> list[Path]:
    """Returns the folders that runs which are not kept have left, but for those that something else needs."""
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
    """Returns the ids of what the models that are never forgotten were made of, and of what was made of them."""
    models = _models(opened, push_dir)
    if not models:
        return set()
    around = [event.execution_id for event in opened.get_events_by_artifact_ids(models)]
    return _touched(opened, around) | models


def _models(opened: MetadataStore, push_dir: Path) -> set[int]:
    """Returns the ids of the model in production, of what it was held against, and of the best that ever was there."""
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
