"""How `graftline run` reads its command line; the run itself is tested in tests/test_pipeline.py."""

import os

import pytest

from graftline.cli import run as module
from graftline.cli.main import main
from graftline.runs import local
from graftline.settings.load import CONFIG_VARIABLE, command, load
from tests import tiny


@pytest.fixture
def ran(monkeypatch):
    """The settings of each run that was started; none really runs."""
    found = []

    def program(settings, *_):
        found.append(settings)
        return 0

    monkeypatch.setattr(local, "program", program)
    monkeypatch.setattr(module, "import_tensorflow", lambda: None)
    monkeypatch.setattr(module.stop, "leave_when_asked", lambda: None)
    monkeypatch.setattr(module.console, "quiet", lambda level: None)
    kept = dict(os.environ)
    yield found
    os.environ.clear()
    os.environ.update(kept)


@pytest.fixture
def photos(tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "pets" / name / f"{number}.jpg").write_bytes(tiny.photo(number))
    return tmp_path / "pets"


def test_data_may_be_an_argument_or_an_option_and_is_said_first(ran, photos, capsys):
    for given in ([str(photos)], ["--data", str(photos)], [str(photos), "-d", str(photos)]):
        assert main(["run", *given]) == 0
        assert capsys.readouterr().err == f"Data: {photos} (as given)\n"
    assert {settings.data.dataset for settings in ran} == {f"folder:{photos}"}
    assert os.environ[CONFIG_VARIABLE] == f"folder:{photos}"  # where child processes read it


def test_a_table_of_classes_is_seen_from_where_the_user_is(ran, photos, tmp_path, monkeypatch):
    (tmp_path / "labels.csv").write_text("".join(f"{number},{number % 2}\n" for number in range(4)))
    for number in range(4):
        (photos / f"{number}.jpg").write_bytes(tiny.photo(number))
    monkeypatch.chdir(tmp_path)
    assert main(["run", "pets", "--labels", "labels.csv"]) == 0
    assert ran[0].data.labels == tmp_path / "labels.csv"
    assert ran[0].data.source.held().classes == ["0", "1"]
    assert f"--set data.labels={tmp_path}/labels.csv" in command()


def test_with_nothing_at_all_the_digits_run_and_it_says_so(ran, capsys, monkeypatch):
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    assert main(["run"]) == 0
    assert (ran[0].name, capsys.readouterr().err) == ("digits", "Data: digits (no data was given)\n")


def test_data_that_are_given_twice_are_refused(ran, photos, capsys):
    assert main(["run", str(photos), "-d", "digits"]) == 2
    assert "The data is given twice" in capsys.readouterr().err
    assert ran == []


def test_a_backbone_comes_with_its_own_size_and_layer(ran, photos):
    assert main(["run", str(photos), "--backbone", "EfficientNetV2B0"]) == 0
    (settings,) = ran
    model = settings.model
    assert (model.backbone, model.image_size, model.fine_tune_at) == ("EfficientNetV2B0", 224, "block6a_expand_conv")


def test_options_are_settings_for_this_process_and_those_that_it_starts(ran):
    assert main(["run", "digits", "--wait", "3", "--force", "--adopt", "--set", "training.phase_1.epochs=2"]) == 0
    (settings,) = ran
    assert (settings.run.wait_minutes, settings.run.force_retrain, settings.run.adopt) == (3, True, True)
    assert settings.training.phase_1.epochs == 2
    assert load() == settings


def test_an_unknown_backbone_is_told(ran, capsys):
    assert main(["run", "digits", "--backbone", "MobileNetV9"]) == 2
    assert "model.backbone = 'MobileNetV9'" in capsys.readouterr().err


def test_a_dry_run_of_photos_that_never_ran_says_so(ran, photos, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GRAFTLINE_RUN__ROOT", str(tmp_path))
    assert main(["run", str(photos), "--dry-run"]) == 0
    assert (
        "No run has used this data yet: the first one infers a schema and then runs every component."
        in capsys.readouterr().out
    )
    assert ran == []
