"""Settings are read and overridden, and all mistakes are reported together."""

import copy
import datetime
import functools
import json
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from graftline.base.errors import SettingsError
from graftline.base.paths import PROJECT, SCHEMAS
from graftline.settings import load as configuration
from graftline.settings.load import CONFIG_VARIABLE, names
from graftline.settings.section import section_of
from graftline.settings.settings import Settings
from graftline.sources.folder import name_of
from tests.graftline.base.test_photos import PETS, make

pytestmark = pytest.mark.usefixtures("no_overrides")

VALID = {"name": "pets", "data": {"dataset": "cats_vs_dogs"}, "gate": {"min_accuracy": 0.9}}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads a configuration given as a dictionary."""

    def loader(**sections):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(VALID | sections))
        monkeypatch.setenv(CONFIG_VARIABLE, str(path))
        return configuration.load()

    return loader


def problems(load, **sections) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**sections)
    return str(caught.value)


@pytest.mark.parametrize("name", names())
def test_every_configuration_of_the_project_is_valid(name, monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, name)
    loaded = configuration.load()
    assert loaded.name == name
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
        training={"zzz": 3, "batch_size": "many"},
        gate={"min_accuracy": 1.5},
    )
    assert "GRAFTLINE_TRAINNG__SEED = '1': no such setting; did you mean GRAFTLINE_TRAINING__SEED" in told
    assert "data.dataset = 'folder:/no/such/folder': there is no folder /no/such/folder; give one" in told
    assert "data.splits: train, validation and test sum to 1.2; change them" in told
    assert "model.fine_tune_at = 'block_11': is not a layer of MobileNetV2; choose one such as" in told
    assert "training.zzz = 3: no such setting; the known ones are batch_size" in told
    assert "training.batch_size = 'many': input should be a valid integer" in told
    assert "gate.min_accuracy = 1.5: input should be less than or equal to 1" in told
    assert len(told.splitlines()) == 8


def test_a_missing_key_is_named(load):
    assert "gate.min_accuracy is missing; add it" in problems(load, gate={})


@pytest.mark.parametrize(
    ("cluster", "told"),
    [
        ({"time_zone": "Mars"}, "cluster.time_zone = 'Mars': is not a time zone; give one such as UTC"),
        ({"trainer": {"gpus": 1}}, "cluster.trainer.gpus = 1: no such setting; the known ones are type, count"),
        ({"mysql": {"hostname": "db"}}, "cluster.mysql.hostname = 'db': no such setting; did you mean host"),
    ],
)
def test_mistakes_within_sections_are_named(load, cluster, told):
    assert told in problems(load, cluster=cluster)


def test_a_pod_gets_its_settings_as_json_and_its_password_beside_it(monkeypatch):
    values = {"name": "pets", "data": {"dataset": "digits"}, "gate": {"min_accuracy": 0.5}, "metadata": {"host": "db"}}
    monkeypatch.setenv(CONFIG_VARIABLE, json.dumps(values))
    monkeypatch.setenv("GRAFTLINE_METADATA__PASSWORD", "open sesame")
    loaded = configuration.load()
    assert (loaded.name, loaded.metadata.host, loaded.metadata.database) == ("pets", "db", "graftline")
    assert loaded.metadata.password.get_secret_value() == "open sesame"
    assert "sesame" not in repr(loaded)


def test_an_unknown_configuration_is_answered_with_those_that_exist(monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, "digit")
    with pytest.raises(SettingsError, match=r"There is no configuration 'digit': give a path, or one of .*digits"):
        configuration.load()


NO_SETTINGS = [b"a: [", b"just words", b"", b"name: caf\xe9", b"name: \x00", "name: a".encode("utf-16-le"), b"[" * 5000]
NO_SETTINGS += [b"name: 2024-99-99", b"? [a]\n: b", b"1: 2", b"training: {1: 2}"]


@pytest.mark.parametrize("text", NO_SETTINGS)
def test_a_file_that_holds_no_settings_is_refused(tmp_path, monkeypatch, text):
    path = tmp_path / "config.yaml"
    path.write_bytes(text)
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    with pytest.raises(SettingsError, match=str(path)):
        configuration.load()


def test_a_file_may_be_of_any_encoding_that_says_which_it_is(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(VALID), encoding="utf-16")
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    assert configuration.load().name == "pets"


def test_a_path_to_a_configuration_is_seen_from_where_the_user_is(tmp_path, monkeypatch):
    (tmp_path / "pets.yaml").write_text(yaml.safe_dump(VALID))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(CONFIG_VARIABLE, "pets.yaml")
    assert configuration.load().name == "pets"


@pytest.mark.parametrize("config", ["{bad", "{" * 5000, "folder:~nobody-here/x", "~nobody-here/x.yaml", "x" * 5000])
def test_a_configuration_that_is_no_name_of_one_is_refused(monkeypatch, config):
    monkeypatch.setenv(CONFIG_VARIABLE, config)
    with pytest.raises(SettingsError, match=f"^(There is no configuration|{CONFIG_VARIABLE})") as told:
        configuration.load()
    assert "\n" not in str(told.value)


WRONG: list[Any] = [
    None,
    True,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "~nobody-here/x",
    "\0",
    "x" * 5000,
    b"\xff",
    [],
    [[]],
]
WRONG += [["x", None], {}, {"x": 1}, {1: None}, datetime.date(2024, 2, 29), {"a", "b"}]


def fields(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """Yields the keys of every setting and section."""
    for name in model.model_fields:
        yield (*above, name)
        if section := section_of(model, name):
            yield from fields(section, *above, name)


@pytest.mark.parametrize("keys", list(fields(Settings)), ids=".".join)
def test_any_value_of_any_setting_is_taken_or_refused_in_words(load, keys):
    for value in WRONG:
        sections = nested = copy.deepcopy(VALID)
        for key in keys[:-1]:
            nested = nested.setdefault(key, {})
        nested[keys[-1]] = value
        try:
            loaded = functools.reduce(getattr, keys, load(**sections))
        except SettingsError as error:
            assert keys[0] in str(error) or "File name too long; give another path" in str(error)
        else:
            assert not isinstance(value, float) or math.isfinite(value), loaded


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e999"])
def test_a_number_is_finite(monkeypatch, value):
    monkeypatch.setenv("GRAFTLINE_TRAINING__PHASE_1__LEARNING_RATE", value)
    with pytest.raises(SettingsError, match=f"training.phase_1.learning_rate = '{value}': input should be"):
        configuration.load()


def test_a_span_may_be_a_number(load, tmp_path):
    folder = make(tmp_path / "pets/span-3", *PETS).parent
    assert load(data={"dataset": f"folder:{folder}", "span": 3}).data.span == "3"


def test_a_list_in_the_environment_may_be_words_with_commas(monkeypatch):
    monkeypatch.setenv("GRAFTLINE_EXPORTS", "tflite_fp16, tflite_int8")
    monkeypatch.setenv("GRAFTLINE_TUNING__HEAD_RATES", "1e-3,1e-2")
    loaded = configuration.load()
    assert loaded.exports == ("tflite_fp16", "tflite_int8")
    assert loaded.tuning.head_rates == (1e-3, 1e-2)
    monkeypatch.setenv("GRAFTLINE_EXPORTS", "tflite")
    with pytest.raises(SettingsError, match=r"exports\.0 = 'tflite': input should be 'tflite_fp16' or 'tflite_int8'"):
        configuration.load()


@pytest.mark.parametrize("value", ["foo", '{"seed": 1', "[" * 50_000])
def test_a_section_in_the_environment_that_is_not_json_is_told_with_all_other_mistakes(load, monkeypatch, value):
    monkeypatch.setenv("GRAFTLINE_TRAINING", value)
    told = problems(load, gate={"min_accuracy": 2})
    assert "training = " in told
    assert "is a section; give keys and values below it; in the environment, give JSON" in told
    assert "gate.min_accuracy = 2: input should be less than or equal to 1" in told


@pytest.mark.parametrize("program", ["-m graftline.cli runs", "pipeline.py"])
def test_mistakes_end_a_program_with_status_2_before_tensorflow_is_imported(program):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *program.split()],
        cwd=PROJECT,
        env=os.environ | {"GRAFTLINE_GATE__MIN_ACCURACY": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "gate.min_accuracy = '2'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "tensorflow" not in done.stderr


@pytest.fixture
def of_folder(monkeypatch):
    """Loads the settings of a folder of photos."""

    def loader(folder: str | Path):
        monkeypatch.setenv(CONFIG_VARIABLE, f"folder:{folder}")
        return configuration.load()

    return loader


def test_a_folder_needs_no_configuration(of_folder, tmp_path, monkeypatch):
    folder = make(tmp_path / "Übungs Fotos 2", *PETS)
    loaded = of_folder(folder)
    assert loaded.data.source.folder == folder
    assert loaded.name.startswith("ubungs_fotos_2_")
    assert loaded.data_gate.infer_schema
    assert not loaded.schema_path.is_relative_to(SCHEMAS)
    monkeypatch.setenv("GRAFTLINE_GATE__MIN_ACCURACY", "0.99")
    assert of_folder(folder).gate.min_accuracy == 0.99


def test_a_folder_may_be_named_from_where_the_user_is_or_from_home(of_folder, tmp_path, monkeypatch):
    folder = make(tmp_path / "pets", *PETS)
    monkeypatch.chdir(folder / "cats")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert {of_folder(name).name for name in (folder, "..", "../../pets/", "~/pets")} == {name_of(folder)}


@pytest.mark.parametrize("name", ["2024", "照片", "_", "-.-", "x" * 300, 'a\'b "c"'])
def test_any_folder_gives_a_legal_name(of_folder, tmp_path, name):
    folder = make(tmp_path / name[:200], *PETS)
    assert of_folder(folder).data.source.folder == folder


def test_a_wrong_folder_is_told_in_a_sentence(of_folder, tmp_path):
    with pytest.raises(SettingsError) as caught:
        of_folder(tmp_path / "no")
    first, second = str(caught.value).splitlines()
    assert first == f"{tmp_path}/no cannot be used:"
    assert second.startswith(f"  data.dataset = 'folder:{tmp_path}/no': there is no folder {tmp_path}/no; give one")


def test_values_that_the_file_does_not_have_are_named(monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, "cats_vs_dogs")
    monkeypatch.setenv("GRAFTLINE_TUNING__TRIALS", "2")
    monkeypatch.setenv("GRAFTLINE_RUN__KEEP_RUNS", "3")
    with pytest.raises(
        SettingsError, match=r"^\S+\.yaml, with tuning\.trials from the command line or the environment, can"
    ):
        configuration.load()


def test_the_recipe_alone_is_no_configuration(monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, "photos")
    with pytest.raises(
        SettingsError, match="photos is only the recipe for photos: give a folder, as in `graftline run "
    ):
        configuration.load()


def name_by_make(data: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Calls make from a shell in a folder, with DATA as typed; its target prints what the command gets."""
    show = 'from graftline.settings.chosen import spelled; import os; print(spelled(os.environ["DATA_GIVEN"]))'
    rule = f"print:;@cd \"$(PWD)\" && PYTHONPATH=$(CURDIR) $(CURDIR)/$(PYTHON) -c '{show}'"
    clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "CONFIG")}
    return subprocess.run(
        [
            "bash",
            "-c",
            f"cd {shlex.quote(str(folder))} && make -s -C {PROJECT} --eval {shlex.quote(rule)} print {data}",
        ],
        env=clean,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["pets", "My Pets", 'it\'s "mine"', "50% $HOME #1", "a;b&c"])
def test_make_hands_a_folder_on_as_it_is_typed(tmp_path, name):
    folder = make(tmp_path / name, *PETS)
    for typed in (str(folder), name, f"{name}/cats/.."):
        done = name_by_make(f"DATA={shlex.quote(typed)}", tmp_path)
        assert done.stdout == f"folder:{folder}\n", done.stderr


def test_make_takes_a_configuration_or_a_folder(tmp_path):
    done = name_by_make("DATA=pets CONFIG=digits", tmp_path)
    assert "Give DATA or CONFIG, not both" in done.stderr
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("variables", "command"),
    [
        ({}, "graftline run digits"),
        ({"CONFIG": "my photos.yaml"}, "graftline run 'my photos.yaml'"),
        ({"CONFIG": "folder:/home/me/my photos"}, "graftline run '/home/me/my photos'"),
        (
            {"TRAINING__SEED": "7", "GATE__MIN_ACCURACY": "0.8"},
            "graftline run digits --set gate.min_accuracy=0.8 --set training.seed=7",
        ),
        ({"METADATA__PASSWORD": "secret", "CLUSTER__MYSQL": '{"password": "secret"}'}, "graftline run digits"),
        ({"CLUSTER__WEBHOOK": "https://secret", "RUN__BEAM_ARGS": '["--key=secret"]'}, "graftline run digits"),
        (
            {"RUN": '{"beam_args": ["--key=secret"], "keep_versions": 3}'},
            """graftline run digits --set 'run={"keep_versions": 3}'""",
        ),
        (
            {"CONFIG": '{"name": "pets", "cluster": {"webhook": "secret"}}', "DATA__SPAN": "3"},
            "graftline kubeflow run --data pets --set data.span=3",
        ),
        ({"MYSQL_SERVICE_HOST": "10.0.0.1", "MYSQL_SERVICE_PORT": "3306"}, "graftline run digits"),
    ],
)
def test_the_command_makes_the_same_run_again_and_tells_no_password(variables, command, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(f"GRAFTLINE_{name}", value)
    assert configuration.command() == command


# As the kubelet sets them (pkg/kubelet/envvars/envvars.go) for a Service graftline-mysql with a port db, and one graftline
LINKS = {
    f"{name}{ending}": value
    for name in ("MYSQL_", "")
    for ending, value in {
        "SERVICE_HOST": "10.96.0.7",
        "SERVICE_PORT": "3306",
        "SERVICE_PORT_DB": "3306",
        "PORT": "tcp://10.96.0.7:3306",
        "PORT_3306_TCP": "tcp://10.96.0.7:3306",
        "PORT_3306_TCP_PROTO": "tcp",
        "PORT_3306_TCP_PORT": "3306",
        "PORT_3306_TCP_ADDR": "10.96.0.7",
    }.items()
}


def test_what_kubernetes_says_of_services_is_no_setting(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(f"GRAFTLINE_{name}", value)
    assert configuration.load() == configuration.load()
    monkeypatch.setenv("GRAFTLINE_MYSQL_HOST", "db")
    with pytest.raises(SettingsError, match="GRAFTLINE_MYSQL_HOST = 'db': no such setting"):
        configuration.load()


@pytest.mark.parametrize("name", ["METADATA_PORT", "RUN_SERVICE_HOST", "CLUSTER_PORT_3306_TCP"])
def test_what_only_looks_like_it_is_a_mistake(name, monkeypatch):
    monkeypatch.setenv(f"GRAFTLINE_{name}", "3306")
    with pytest.raises(SettingsError, match=f"GRAFTLINE_{name} = '3306': no such setting"):
        configuration.load()


def test_arguments_of_beam_are_repeated_nowhere(monkeypatch):
    monkeypatch.setenv("GRAFTLINE_RUN__BEAM_ARGS", '["--s3_secret_access_key=hidden"]')
    loaded = configuration.load()
    assert loaded.run.beam_args[0].get_secret_value() == "--s3_secret_access_key=hidden"
    assert "hidden" not in f"{loaded} {loaded!r} {loaded.model_dump_json()}"


def test_arguments_in_the_environment_may_hold_commas_so_they_are_json(monkeypatch):
    monkeypatch.setenv("GRAFTLINE_RUN__BEAM_ARGS", "--key=hidden")
    with pytest.raises(SettingsError, match=r"run.beam_args: is not a list; write one as \[") as told:
        configuration.load()
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(
    ("variable", "value", "key"),
    [
        ("RUN__BEAM_ARGS", '{"hidden": 1}', "run.beam_args"),
        ("RUN", '{"beam_args": "hidden"}', "run.beam_args"),
        ("CLUSTER", '{"webhook": ["hidden"]}', "cluster.webhook"),
        ("CLUSTER", '{"webhook": "hidden"', "cluster"),
        ("METADATA", '{"password": "hidden"', "metadata"),
        ("CLUSTER__MYSQL", '{"password": ["hidden"]}', "cluster.mysql.password"),
    ],
)
def test_a_mistake_in_a_secret_is_told_without_its_value(variable, value, key, monkeypatch):
    monkeypatch.setenv(f"GRAFTLINE_{variable}", value)
    with pytest.raises(SettingsError, match=f"{key}: ") as told:
        configuration.load()
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize(("images", "size", "augmentation"), [(4, 224, "crops"), (1001, 160, "flip")])
def test_the_recipe_of_a_folder_follows_the_number_of_its_photos(monkeypatch, tmp_path, images, size, augmentation):
    for number in range(images):
        path = tmp_path / "photos" / ("cat" if number % 2 else "dog") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setenv("GRAFTLINE_CONFIG", f"folder:{tmp_path}/photos")
    monkeypatch.setenv("GRAFTLINE_TRAINING__SEED", "3")
    loaded = configuration.load()
    assert (loaded.model.image_size, loaded.training.augmentation, loaded.training.seed) == (size, augmentation, 3)
    monkeypatch.setenv("GRAFTLINE_TRAINING__AUGMENTATION", "none")
    assert configuration.load().training.views == ("plain",)
    assert configuration.load(data_is_here=False).model.image_size == 160, "the number of photos is unknown"


def test_a_folder_whose_photos_cannot_be_counted_is_told_like_any_other(monkeypatch, tmp_path):
    monkeypatch.setenv("GRAFTLINE_CONFIG", f"folder:{tmp_path}/{'a' * 300}")
    with pytest.raises(SettingsError, match="File name too long; give another path"):
        configuration.load()
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("GRAFTLINE_CONFIG", f"folder:{tmp_path}/photos")

    def refuse(_: object) -> int:
        raise PermissionError(13, "Permission denied", f"{tmp_path}/photos")

    monkeypatch.setattr("graftline.sources.folder.Folder.count", refuse)
    with pytest.raises(SettingsError, match="must contain at least two folders"):
        configuration.load()


def test_a_table_of_recipes_that_is_none_is_told_with_the_file(load):
    with pytest.raises(SettingsError, match=r"config\.yaml cannot be used: `recipes` must be a list of rows, such as"):
        load(recipes=5)
