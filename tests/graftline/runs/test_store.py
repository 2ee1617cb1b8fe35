"""The metadata store is kept true to the files: outputs that lost one are removed, the others stay."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2

from graftline.base.errors import UserError
from graftline.runs import places, store
from graftline.serving import versions
from graftline.settings.settings import Settings
from tests.past import Made, output_event, write


@pytest.fixture
def settings(tmp_path):
    loaded = Settings(name="pets", data={"dataset": "digits"}, gate={"min_accuracy": 0.5}, run={"root": tmp_path})
    loaded.metadata_path.parent.mkdir(parents=True)
    return loaded


@pytest.fixture
def executed(settings, tmp_path):
    """An execution with an output of two files, recorded in the store."""
    output = tmp_path / "output"
    (output / "deep").mkdir(parents=True)
    (output / "one").write_text("1")
    (output / "deep" / "two").write_text("22")
    with store.opened(settings) as opened:
        artifact_type = opened.put_artifact_type(metadata_store_pb2.ArtifactType(name="Model"))
        execution_type = opened.put_execution_type(metadata_store_pb2.ExecutionType(name="Trainer"))
        artifact = metadata_store_pb2.Artifact(type_id=artifact_type, uri=str(output))
        execution = metadata_store_pb2.Execution(type_id=execution_type, last_known_state=store.COMPLETE)
        execution_id, _, _ = opened.put_execution(execution, [(artifact, output_event("model"))], [])
        (execution,) = opened.get_executions_by_id([execution_id])
        store.note_files(opened, execution)
        opened.put_executions([execution])
    return output


@pytest.mark.parametrize("keep", [0, 50, 0.5], ids=["another file", "header", "half"])
def test_a_damaged_file_is_told_with_what_to_do(settings, executed, keep):
    whole = settings.metadata_path.read_bytes()
    settings.metadata_path.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep] or b"no database" * 1000)
    with pytest.raises(UserError, match=rf"{settings.metadata_path} is damaged \(.*\): .* move it away"):  # noqa: SIM117
        with store.opened(settings):
            pass


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_run_finds_a_damage_before_it_begins(settings, executed, place):
    contents = bytearray(settings.metadata_path.read_bytes())
    start = place * len(contents) // 4
    contents[start : start + 8192] = b"x" * 8192
    settings.metadata_path.write_bytes(contents)
    with pytest.raises(UserError, match=f"{settings.metadata_path} is damaged"):
        places.check(settings)


# Pages that do not fit into the cache are written before the end, as in a large transaction.
KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA cache_size = 1")
for table in ("Artifact", "Execution"):
    connection.execute(f"UPDATE {table} SET last_update_time_since_epoch = 77")
    connection.execute(f"UPDATE {table} SET name = hex(randomblob(100000))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_half_of_what_a_killed_run_wrote_is_undone(settings, executed):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(settings.metadata_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert Path(f"{settings.metadata_path}-journal").stat().st_size
    assert store.damage(settings.metadata_path) is None
    assert not Path(f"{settings.metadata_path}-journal").exists()
    with store.opened(settings) as opened:
        (execution,), (artifact,) = opened.get_executions(), opened.get_artifacts()
    assert 77 not in {execution.last_update_time_since_epoch, artifact.last_update_time_since_epoch}
    assert not artifact.name


def test_whole_outputs_stay(settings, executed):
    with store.opened(settings) as opened:
        store.forget_outdated(opened, settings)
        assert {key: artifact.type for key, artifact in store.outputs(opened, 1).items()} == {"model": "Model"}
    assert (executed / "deep" / "two").read_text() == "22"


def test_files_that_came_later_do_not_matter(settings, executed):
    (executed / "note").write_text("mine")
    with store.opened(settings) as opened:
        store.forget_outdated(opened, settings)
    assert (executed / "note").exists()


@pytest.mark.parametrize(
    "damage",
    [lambda folder: (folder / "deep" / "two").unlink(), lambda folder: (folder / "deep" / "two").write_text("2")],
    ids=["deleted", "truncated"],
)
def test_outputs_that_lost_something_are_removed_and_told(settings, executed, damage, caplog):
    damage(executed)
    with store.opened(settings) as opened:
        store.forget_outdated(opened, settings)
        assert not executed.exists()
        store.forget_outdated(opened, settings)  # nothing is left to remove
    (message,) = caplog.messages
    assert f"{executed / 'deep' / 'two'} is damaged or gone" in message


def output(settings: Settings, name: str, **values: int | str | float) -> Path:
    """Writes the output folder of a node, and its artifact."""
    folder = settings.pipeline_root / name / "out" / str(len(list(settings.pipeline_root.glob("*/*/*"))))
    folder.mkdir(parents=True)
    key = "blessing" if name == "ServingCheck" else "pushed_model"
    write(settings, folder.name, Made(name, {key: values}, uri=str(folder)))
    return folder


def test_a_refusal_of_serving_is_never_served_from_the_cache(settings):
    refused, blessed = (output(settings, "ServingCheck", blessed=blessed) for blessed in (0, 1))
    with store.opened(settings) as opened:
        store.forget_outdated(opened, settings)
    assert (refused.exists(), blessed.exists()) == (False, True)


def test_a_push_holds_as_long_as_its_model_is_in_production(settings, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/saved_model.pb").write_text("a")
    push = versions.publish(tmp_path / "model", settings.push_dir)
    served, other = (output(settings, "Pusher", pushed=1, digest=digest) for digest in (push.digest, "other"))
    not_pushed = output(settings, "Pusher", pushed=0)
    with store.opened(settings) as opened:
        store.forget_outdated(opened, settings)
        assert (served.exists(), other.exists(), not_pushed.exists()) == (True, False, True)
        shutil.rmtree(settings.push_dir)
        store.forget_outdated(opened, settings)
    assert not served.exists()
