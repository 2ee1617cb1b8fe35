"""Which results of earlier runs are removed, and which never are."""

import os
import time
from pathlib import Path

import pytest
from ml_metadata.proto.metadata_store_pb2 import Artifact

from graftline.base.paths import DAY
from graftline.runs import pruning, store
from graftline.serving import versions
from graftline.serving.pushes import Push
from graftline.settings.settings import Settings
from tests.past import Made, accurate, settings_of, write

LONG_AGO = time.time() - 2 * DAY
RUNS = 6


def age(path: Path, when: float = LONG_AGO) -> None:
    for one in [path, *path.rglob("*")]:
        os.utime(one, (when, when))


@pytest.fixture
def settings(tmp_path) -> Settings:
    return settings_of(tmp_path, run={"root": tmp_path, "serving_dir": tmp_path / "serving", "keep_runs": 2})


def run(settings: Settings, name: str, **outputs: dict | int) -> dict[str, int]:
    """Writes a run whose nodes' outputs are where TFX would have put them."""
    nodes = {"examples": "TfdsExampleGen", "model": "Trainer", "blessing": "Evaluator", "pushed_model": "Pusher"}
    ids = write(settings, name, *(Made(nodes[key], {key: given}) for key, given in outputs.items()))
    with store.opened(settings) as opened:
        for node in store.nodes(opened, name):
            for key, artifact in node.outputs.items():
                if artifact.uri == "/gone":
                    artifact.uri = str(settings.pipeline_root / node.name / key / str(node.id))
                    Path(artifact.uri).mkdir(parents=True)
                    Path(artifact.uri, "file").write_text(name)
                    opened.put_artifacts([artifact])
            system = settings.pipeline_root / node.name / ".system/executor_execution" / str(node.id)
            system.mkdir(parents=True, exist_ok=True)
    return ids


def left(settings: Settings) -> set[str]:
    """Returns the runs whose files are there, by node."""
    found = settings.pipeline_root.glob("*/*/*/file")
    return {f"{path.parts[-4]} {path.read_text()}" for path in found}


def test_the_latest_runs_stay_and_of_the_others_nothing_does(settings):
    ids = [run(settings, name, examples={}, model=accurate(0.5, 0.6)) for name in "abcd"]
    age(settings.pipeline_root)
    pruning.prune(settings)
    assert left(settings) == {"TfdsExampleGen c", "Trainer c", "TfdsExampleGen d", "Trainer d"}
    assert len(list(settings.pipeline_root.glob("*/.system/*/*"))) == 4
    with store.opened(settings) as opened:
        states = {one.id: one.state for one in opened.get_artifacts()}
        assert [run.id for run in store.runs(opened, "digits")] == list("abcd")  # they are still listed
    assert {states[number] for made in ids[:2] for number in made.values()} == {Artifact.DELETED}
    assert Artifact.DELETED not in {states[number] for made in ids[2:] for number in made.values()}


def test_what_was_touched_within_a_day_stays(settings):
    for name in "abcd":
        run(settings, name, examples={}, model={})
    age(settings.pipeline_root)
    os.utime(settings.pipeline_root / "Trainer/model/2")
    pruning.prune(settings)
    assert "Trainer a" in left(settings)
    assert "TfdsExampleGen a" not in left(settings)


def test_what_a_later_run_took_from_the_cache_stays(settings):
    first = run(settings, "a", examples={}, model={})
    run(settings, "b", examples={}, model={})
    run(settings, "c", examples=first["examples"], model={})
    run(settings, "d", examples=first["examples"], model={})
    age(settings.pipeline_root)
    pruning.prune(settings)
    assert left(settings) == {"TfdsExampleGen a", "Trainer c", "Trainer d"}


def pushed(settings: Settings, name: str, accuracy: float) -> None:
    """Writes a run that pushed its model, and publishes it."""
    place = settings.run.root / f"model of {name}"
    place.mkdir()
    (place / "saved_model.pb").write_text(name)
    judged = Push(0, "", accuracy=accuracy, opponents=versions.opponents(settings.push_dir, ""))
    push = versions.publish(place, settings.push_dir, judged)
    model = run(settings, name, examples={}, model=accurate(accuracy, accuracy))["model"]
    run(settings, name, blessing={"blessed": 1, "current_model_id": model})
    run(settings, name, pushed_model={"pushed": 1, "model_id": model, "digest": push.digest})


def test_the_model_in_production_its_baseline_and_the_best_of_all_stay(settings):
    for name, accuracy in {"best": 0.99, "other": 0.7, "baseline": 0.8, "production": 0.9}.items():
        pushed(settings, name, accuracy)
    for name in "abcd":
        run(settings, name, examples={}, model=accurate(0.1, 0.1))
    age(settings.pipeline_root)
    pruning.prune(settings)
    models = {one.removeprefix("Trainer ") for one in left(settings) if one.startswith("Trainer ")}
    assert models == {"best", "baseline", "production", "c", "d"}


def test_places_tell_what_would_go_and_change_nothing(settings):
    for name in "abcd":
        run(settings, name, examples={}, model={})
    (settings.work_dir / "features/old").mkdir(parents=True)
    age(settings.run.root)
    before = left(settings)
    places = {place.name: place for place in pruning.places(settings)}
    artifacts = places["artifacts of runs"]
    assert {path.name for path in artifacts.goes} == {"1", "2", "3", "4"}
    assert len(artifacts.kept) == len(artifacts.goes) == 8
    assert (len(places["cached features"].kept), places["cached features"].goes) == (1, [])
    assert left(settings) == before


@pytest.mark.parametrize("kind", pruning.KINDS)
def test_of_work_the_latest_used_stay_and_whatever_was_used_within_a_day(kind, settings):
    keep = settings.run.keep_work_dirs
    for number in range(RUNS + keep):
        folder = settings.work_dir / kind / str(number)
        (folder / "train_plain").mkdir(parents=True)
        os.utime(folder, (LONG_AGO + number, LONG_AGO + number))
    os.utime(settings.work_dir / kind / "0")
    pruning.prune(settings)
    stay = {"0", *map(str, range(RUNS + 1, RUNS + keep))}
    assert {path.name for path in (settings.work_dir / kind).iterdir()} == stay


def test_nothing_there_is_nothing_to_prune(settings):
    pruning.prune(settings)
    assert not settings.work_dir.exists()
