"""`clean` forgets all runs, but not what somebody may still want, and never while one is going on."""

import filelock
import pytest

from graftline.base.errors import UserError
from graftline.cli.main import main
from graftline.runs import cleaning

GO = ("pipelines", "metadata", "work", "schemas", "tfx")
STAY = ("data", "weights", "serving", "accepted")


@pytest.fixture
def root(tmp_path):
    for name in (*GO, *STAY, "locks"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep/file").write_text("12345")
    (tmp_path / "locks/digits.run.lock").touch()
    return tmp_path


def test_runs_are_forgotten_and_data_weights_and_pushed_models_stay(root, monkeypatch, capsys):
    monkeypatch.setenv("GRAFTLINE_RUN__ROOT", str(root))
    assert cleaning.size(root) == 5 * len(GO)
    assert main(["clean", "--yes", "-d", "digits"]) == 0
    assert capsys.readouterr().out == f"Removed 0.00 GB from {root}.\n"
    assert {path.name for path in root.iterdir()} == {*STAY, "locks"}
    assert main(["clean", "--yes", "-d", "digits"]) == 0
    assert capsys.readouterr().out == f"There are no runs in {root}.\n"


def test_nothing_is_removed_while_a_run_goes_on(root):
    with (
        filelock.FileLock(root / "locks/digits.run.lock"),
        pytest.raises(UserError, match=r"A run of digits in .* is going on"),
    ):
        cleaning.clean(root)
    assert {path.name for path in cleaning.folders(root)} == set(GO)
    cleaning.clean(root)
    assert cleaning.folders(root) == []


def test_without_a_yes_nothing_is_removed(root, monkeypatch, capsys):
    monkeypatch.setenv("GRAFTLINE_RUN__ROOT", str(root))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: "n")
    assert main(["clean", "-d", "digits"]) == 130
    assert len(cleaning.folders(root)) == len(GO)
