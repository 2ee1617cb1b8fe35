"""A folder that is not writable is found before anything runs."""

import pytest

from graftline.base.errors import UserError
from graftline.runs import local, places
from graftline.settings.settings import Settings
from tests.disks import read_only
from tests.past import settings_of


def test_folders_are_made_and_nothing_is_left_in_them(tmp_path):
    settings = settings_of(tmp_path)
    places.check(settings)
    assert settings.pipeline_root.is_dir()
    assert [path for path in tmp_path.rglob("*") if not path.is_dir()] == []


@pytest.mark.parametrize("inner", ["", "pipelines", "pipelines/digits", "work", "metadata", "locks", "serving/digits"])
def test_a_file_in_a_folders_place_stops_a_run_before_it_begins(tmp_path, inner, capsys):
    settings = settings_of(tmp_path / "out")
    file = tmp_path / "out" / inner
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("not a folder")

    def never(_: Settings) -> None:
        raise AssertionError

    assert local.program(settings, never, never) == 1
    setting = "run.serving_dir" if inner.startswith("serving") else "run.root"
    told = capsys.readouterr().err
    assert f" cannot write to {file} (" in told or f" cannot write to {file}/" in told
    assert told.endswith(f"let that user write to it, or set {setting} to another folder.\n")


@pytest.mark.parametrize("inner", ["", "serving"])
def test_a_read_only_folder_is_told(tmp_path, inner):
    settings = settings_of(tmp_path)
    (tmp_path / "serving").mkdir()
    with read_only(tmp_path / inner), pytest.raises(UserError, match=r"^User .* cannot write to .* \(Read-only file"):
        places.check(settings)
    places.check(settings)


@pytest.mark.parametrize("file", ["metadata/digits.sqlite", "serving/digits/pushes.jsonl"])
def test_a_file_of_another_user_is_told(tmp_path, file, monkeypatch):
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    places.check(settings_of(tmp_path))
    monkeypatch.setattr("os.access", lambda path, _: path != tmp_path / file)  # root may write everything
    with pytest.raises(UserError, match=f"^User .* cannot write to .*{file}: let that user write to it"):
        places.check(settings_of(tmp_path))
