"""The data that a command acts on: given, exported, of the last run, or the digits."""

import pytest

from graftline.base.errors import SettingsError
from graftline.settings.chosen import Chosen, choose, remember, spelled
from graftline.settings.load import CONFIG_VARIABLE, load


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """A user in a folder, who has not run anything yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAFTLINE_RUN__ROOT", str(tmp_path / "output"))
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)


def test_data_is_a_configuration_a_folder_a_file_or_a_set_of_tfds(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    (tmp_path / "mine.yaml").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert spelled("cats_vs_dogs") == "cats_vs_dogs"
    for folder in ("pets", "./pets", "~/pets", str(tmp_path / "pets"), "pets/../pets/"):
        assert spelled(folder) == f"folder:{tmp_path}/pets"
    assert spelled("mine.yaml") == str(tmp_path / "mine.yaml")
    assert (spelled("tf_flowers"), spelled("mnist:3.0.1")) == ("tfds:tf_flowers", "tfds:mnist:3.0.1")
    assert spelled("folder:pets") == "folder:pets"


def test_a_configuration_comes_before_a_folder_of_its_name_which_a_slash_means(tmp_path):
    (tmp_path / "digits").mkdir()
    assert (spelled("digits"), spelled("./digits")) == ("digits", f"folder:{tmp_path}/digits")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("", "'' is not a folder"),
        (" ", "' ' is not a folder"),
        ("photos", "'photos' is not a folder"),
        ("dig-its", "or a configuration: did you mean digits?"),
        ("no/such", "There is no folder or file .*/no/such: give a folder of photos"),
        ("~nobody-here/x", "the home folder ~nobody-here is unknown"),
    ],
)
def test_what_is_none_of_these_is_refused(data, told):
    with pytest.raises(SettingsError, match=told):
        spelled(data)


def test_what_is_given_comes_before_what_is_exported_and_that_before_the_last_run(tmp_path, monkeypatch):
    assert choose(None, of_last_run=True) == Chosen("digits", "no data was given")
    monkeypatch.setenv(CONFIG_VARIABLE, "cats_vs_dogs")
    remember(tmp_path / "output")
    assert choose(None, of_last_run=False).config == "cats_vs_dogs"
    monkeypatch.delenv(CONFIG_VARIABLE)
    assert choose(None, of_last_run=True) == Chosen("cats_vs_dogs", "the data of the last run")
    assert choose(None, of_last_run=False).config == "digits"
    monkeypatch.setenv(CONFIG_VARIABLE, "cats_vs_dogs_tutorial")
    assert choose(None, of_last_run=True) == Chosen("cats_vs_dogs_tutorial", f"from {CONFIG_VARIABLE}")
    assert choose("digits", of_last_run=True) == Chosen("digits", "as given")


def test_the_last_run_is_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "pets").mkdir()
    (tmp_path / "mine.yaml").touch()
    kept = {
        "folder:pets": f"folder:{tmp_path}/pets",
        "mine.yaml": str(tmp_path / "mine.yaml"),
        "tfds:mnist": "tfds:mnist",
    }
    for exported, config in kept.items():
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("graftline.settings.load.absolute", lambda path: tmp_path / path)
        monkeypatch.setenv(CONFIG_VARIABLE, exported)
        remember(tmp_path / "output")
        monkeypatch.delenv(CONFIG_VARIABLE)
        monkeypatch.chdir("/")
        assert choose(None, of_last_run=True).config == config
    (tmp_path / "output/last_run").write_text("/gone.yaml")
    assert choose(None, of_last_run=True).config == "digits"


def test_what_a_pod_runs_is_not_kept(monkeypatch, tmp_path):
    monkeypatch.setenv(CONFIG_VARIABLE, '{"name": "pets"}')
    remember(tmp_path / "output")
    assert not (tmp_path / "output/last_run").exists()


def test_a_set_of_tfds_alone_has_the_recipe_for_photos(monkeypatch):
    monkeypatch.setenv(CONFIG_VARIABLE, spelled("tf_flowers"))
    settings = load()
    assert (settings.name, settings.data.dataset) == ("tf_flowers", "tf_flowers")
    assert settings.data_gate.infer_schema
