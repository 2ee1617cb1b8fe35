"""A person pushes a model that the gate refused: it is in production, and who did it and why is said everywhere."""

import json

import pytest

from graftline.base.errors import UserError
from graftline.cli.main import main
from graftline.runs import history
from graftline.runs.push import push
from graftline.serving import pushes, versions
from tests.past import Made, accurate, settings_of, write


@pytest.fixture
def settings(tmp_path):
    return settings_of(tmp_path)


@pytest.fixture
def refused(settings, tmp_path):
    """A run whose model was refused, with its card; another model is in production."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / versions.SAVED_MODEL).write_text("in production")
    versions.publish(tmp_path / "other", settings.push_dir)
    model, card = tmp_path / "made/model", tmp_path / "made/card"
    (model / versions.SERVING_FORMAT).mkdir(parents=True)
    (model / versions.SERVING_FORMAT / versions.SAVED_MODEL).write_text("refused")
    card.mkdir()
    (card / "model_card.md").write_text("# Card\n")
    (card / "model_card.json").write_text('{"name": "digits"}')
    trainer = Made("Trainer", {"model": accurate(0.5, 0.6)}, uri=str(model))
    evaluator = Made("Evaluator", {"blessing": {"blessed": 0, "accuracy": 0.6, "opponents": '{"production": "x"}'}})
    write(settings, "a", trainer, evaluator, Made("CardGen", {"card": {}}, uri=str(card)))
    return model


def test_the_model_of_a_run_is_pushed_and_it_is_told_by_whom_and_why(settings, refused, monkeypatch):
    monkeypatch.setenv("LOGNAME", "alice")
    made = push(settings, "1", "the camera is new")
    served = versions.production(settings.push_dir)
    assert served == made
    assert (served.who, served.why, served.run, served.accuracy) == ("alice", "the camera is new", "a", 0.6)
    assert served.opponents == {"production": "x"}
    folder = settings.push_dir / str(made.version)
    assert (folder / versions.SAVED_MODEL).read_text() == "refused"
    markdown, told = ((folder / "assets.extra" / f"model_card.{kind}").read_text() for kind in ("md", "json"))
    assert markdown.startswith("# Card\n\n## Pushed by a person\n\nalice pushed this model on 20")
    assert markdown.endswith("regardless of the gate's verdict: the camera is new\n")
    assert json.loads(told)["pushed_by"]["why"] == "the camera is new"
    runs = history.read(settings)
    listed = history.facts(settings, runs, runs[0], alive=False)["pushed_by"]
    assert listed == {"who": "alice", "why": "the camera is new", "version": str(made.version)}


def test_what_makes_no_sense_is_refused(settings, refused):
    with pytest.raises(UserError, match="--reason is empty"):
        push(settings, "1", " ")
    with pytest.raises(UserError, match="There is no run '7'"):
        push(settings, "7", "why")
    push(settings, "latest", "why")
    with pytest.raises(UserError, match="The model of run 1 is already in production, as version"):
        push(settings, "1", "why")
    write(settings, "b", Made("Trainer", {"model": accurate(0.5, 0.6)}))
    with pytest.raises(UserError, match="Run 2 has no model, or it was removed"):
        push(settings, "2", "why")


def test_a_person_may_push_again_what_was_taken_back(settings, refused):
    bad = push(settings, "1", "why")
    versions.roll_back(settings.push_dir, "calls threes eights")
    assert bad.digest in pushes.withdrawals(settings.push_dir)
    push(settings, "1", "threes are gone")
    assert pushes.withdrawals(settings.push_dir) == {}
    assert versions.served(settings.push_dir) == bad.digest


def test_the_command_says_where_it_is(settings, refused, monkeypatch, capsys):
    monkeypatch.setenv("GRAFTLINE_RUN__ROOT", str(settings.run.root))
    monkeypatch.setenv("GRAFTLINE_RUN__SERVING_DIR", str(settings.run.serving_dir))
    assert main(["push", "1", "-d", "digits", "--reason", "why"]) == 0
    assert f"Pushed to {settings.push_dir}/" in capsys.readouterr().out
