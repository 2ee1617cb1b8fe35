"""Settings are read, overridden, and every mistake is told at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import settings
from settings import PROJECT, SettingsError

VALID = {"name": "pets", "data": {"dataset": "cats_vs_dogs"}, "gate": {"min_accuracy": 0.9}}


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch):
    for name in list(os.environ):
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a configuration given as a dictionary."""

    def loader(**sections):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(VALID | sections))
        monkeypatch.setenv(settings.CONFIG_VARIABLE, str(path))
        return settings.load()

    return loader


def problems(load, **sections) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**sections)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_of_the_project_is_valid(path, monkeypatch):
    monkeypatch.setenv(settings.CONFIG_VARIABLE, path.stem)
    loaded = settings.load()
    assert loaded.name == path.stem
    assert loaded.schema_path.is_file()


def test_the_environment_overrides_the_file_key_by_key(load, monkeypatch):
    monkeypatch.setenv("GRAFTLINE_TRAINING__PHASE_2__EPOCHS", "3")
    loaded = load(training={"batch_size": 7, "phase_2": {"optimizer": "sgd", "learning_rate": 0.5}})
    assert loaded.training.phase_2.epochs == 3
    assert loaded.training.phase_2.optimizer == "sgd"
    assert loaded.training.batch_size == 7


def test_all_mistakes_are_told_together_each_with_key_value_and_cure(load, monkeypatch):
    monkeypatch.setenv("GRAFTLINE_TRAINNG__SEED", "1")
    told = problems(
        load,
        data={"dataset": "folder:/no/such/folder", "splits": {"train": 0.8, "validation": 0.3, "test": 0.1}},
        model={"fine_tune_at": "block_11"},
        training={"epoch": 3, "batch_size": "many"},
        gate={"min_accuracy": 1.5},
    )
    assert "GRAFTLINE_TRAINNG__SEED = '1': no such setting; did you mean GRAFTLINE_TRAINING__SEED" in told
    assert "data.dataset = 'folder:/no/such/folder': there is no folder /no/such/folder; give one" in told
    assert "data.splits: train, validation and test sum to 1.2; change them" in told
    assert "model.fine_tune_at = 'block_11': names no layer of MobileNetV2; choose one such as" in told
    assert "training.epoch = 3: no such setting; the known ones are batch_size" in told
    assert "training.batch_size = 'many': input should be a valid integer" in told
    assert "gate.min_accuracy = 1.5: input should be less than or equal to 1" in told
    assert len(told.splitlines()) == 8


def test_a_missing_key_is_named(load):
    assert "gate.min_accuracy: is missing; add it" in problems(load, gate={})


def test_an_unknown_backbone_is_answered_with_those_that_exist(load):
    assert "did you mean MobileNetV2 or" in problems(load, model={"backbone": "MobileNet_V2"})


def test_a_missing_weights_file_is_named(load):
    assert "there is no file /no/weights.h5" in problems(load, model={"weights": "/no/weights.h5"})


def make_photos(folder: Path, **classes: int) -> str:
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            (folder / name / f"{index}.jpg").write_bytes(b"x")
    return f"folder:{folder}"


def test_a_folder_with_one_class_is_refused(load, tmp_path):
    told = problems(load, data={"dataset": make_photos(tmp_path / "photos", cats=2)})
    assert "must hold at least two folders, one per class, but has only cats" in told


def test_a_folder_with_an_empty_class_is_refused(load, tmp_path):
    told = problems(load, data={"dataset": make_photos(tmp_path / "photos", cats=2, dogs=0)})
    assert "in dogs; add some to each or remove the folder" in told


def test_a_folder_of_photos_is_a_dataset(load, tmp_path):
    loaded = load(data={"dataset": make_photos(tmp_path / "photos", cats=2, dogs=1)})
    assert loaded.data.folder == tmp_path / "photos"


def test_of_a_folder_with_spans_the_newest_is_read_or_the_one_asked_for(load, tmp_path):
    for span in ("span-9", "span-10", "span-x", "span-11.part"):
        dataset = make_photos(tmp_path / "photos" / span, cats=1, dogs=1).replace(f"/{span}", "")
    assert load(data={"dataset": dataset}).data.folder == tmp_path / "photos/span-10"
    assert load(data={"dataset": dataset, "span": "9"}).data.folder == tmp_path / "photos/span-9"
    assert load(data={"dataset": dataset}).schema_path.name == "photos.pbtxt"
    assert f"there is no folder {tmp_path}/photos/span-8" in problems(load, data={"dataset": dataset, "span": "8"})


def test_a_set_by_name_has_no_spans(load):
    told = problems(load, data={"dataset": "digits", "span": "2"})
    assert "data.dataset = 'digits': is no folder, so it has no span 2; leave data.span at latest" in told


def test_a_pod_gets_its_settings_as_json_and_its_password_beside_it(monkeypatch):
    values = {"name": "pets", "data": {"dataset": "digits"}, "gate": {"min_accuracy": 0.5}, "metadata": {"host": "db"}}
    monkeypatch.setenv(settings.CONFIG_VARIABLE, json.dumps(values))
    monkeypatch.setenv("GRAFTLINE_METADATA__PASSWORD", "open sesame")
    loaded = settings.load()
    assert (loaded.name, loaded.metadata.host, loaded.metadata.database) == ("pets", "db", "graftline")
    assert loaded.metadata.password.get_secret_value() == "open sesame"
    assert "sesame" not in repr(loaded)


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        (
            {"image": "registry/graftline:latest"},
            "cluster.image = 'registry/graftline:latest': is another image every day",
        ),
        ({"time_zone": "Mars"}, "cluster.time_zone = 'Mars': is no time zone; give one such as UTC"),
        ({"trainer": {"shared_memory": "2 GB"}}, "cluster.trainer.shared_memory = '2 GB': string should match pattern"),
        ({"trainer": {"gpus": 1}}, "cluster.trainer.gpus = 1: no such setting; the known ones are type, count"),
        ({"mysql": {"hostname": "db"}}, "cluster.mysql.hostname = 'db': no such setting; did you mean host"),
    ],
)
def test_mistakes_about_a_cluster_are_named(load, cluster, told):
    assert told in problems(load, cluster=cluster)


def test_an_unknown_configuration_is_answered_with_those_that_exist(monkeypatch):
    monkeypatch.setenv(settings.CONFIG_VARIABLE, "digit")
    with pytest.raises(SettingsError, match=r"There is no configuration 'digit': give a path, or one of .*digits"):
        settings.load()


@pytest.mark.parametrize("text", ["a: [", "just words"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path, monkeypatch, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    monkeypatch.setenv(settings.CONFIG_VARIABLE, str(path))
    with pytest.raises(SettingsError, match=str(path)):
        settings.load()


@pytest.mark.parametrize("program", ["settings.py", "pipeline.py"])
def test_mistakes_end_a_program_with_status_2_before_tensorflow_is_imported(program):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", PROJECT / program],
        env=os.environ | {"GRAFTLINE_GATE__MIN_ACCURACY": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "gate.min_accuracy = '2'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "tensorflow" not in done.stderr
