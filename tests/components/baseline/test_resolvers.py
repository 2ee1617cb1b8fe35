"""The baseline: the model in production, never the candidate itself."""

import shutil
from pathlib import Path

import pytest
from tfx.types import Artifact, standard_artifacts

from components.baseline.resolvers import BLESSING, CANDIDATE, MODEL, PUSHED, ProductionStrategy
from graftline.base.errors import UserError


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Has the files of three models in the working directory."""
    monkeypatch.chdir(tmp_path)
    for number in (1, 2, 3):
        (tmp_path / str(number) / "Format-Serving").mkdir(parents=True)


def model(number: int) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.id, artifact.uri = number, str(number)
    return artifact


def blessing(number: int, blessed: bool = True, baseline: int | None = None) -> standard_artifacts.ModelBlessing:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", number)
    artifact.set_int_custom_property("blessed", int(blessed))
    if baseline is not None:
        artifact.set_int_custom_property("baseline_model_id", baseline)
    return artifact


def pushes(*models: int | None) -> list[Artifact]:
    """Returns pushes of these models, in the reverse of their order; None is one that pushed nothing."""
    found: list[Artifact] = []
    for number, of in enumerate(models):
        artifact = standard_artifacts.PushedModel()
        artifact.id = 100 + number
        artifact.set_int_custom_property("pushed", int(of is not None))
        if of is not None:
            artifact.set_int_custom_property("model_id", of)
        found.insert(0, artifact)
    return found


def resolve(candidate: int, blessings: list[Artifact], pushed: list[Artifact]) -> list[int]:
    models: list[Artifact] = [model(number) for number in (1, 2, 3)]
    inputs = {CANDIDATE: [model(candidate)], MODEL: models, BLESSING: blessings, PUSHED: pushed}
    resolved = ProductionStrategy().resolve_artifacts(None, inputs)
    assert [found.id for found in resolved[CANDIDATE]] == [candidate]
    assert len(resolved[BLESSING]) == len(resolved[MODEL])
    return [found.id for found in resolved[MODEL]]


@pytest.mark.parametrize(
    ("candidate", "blessings", "pushed", "baseline"),
    [
        pytest.param(1, [], pushes(), [], id="none yet"),
        pytest.param(2, [blessing(1)], pushes(1), [1], id="the one before"),
        pytest.param(3, [blessing(1), blessing(2, blessed=False)], pushes(1, None), [1], id="not an unblessed one"),
        pytest.param(3, [blessing(2, baseline=1), blessing(1)], pushes(1, 2), [2], id="the latest"),
        pytest.param(3, [blessing(1), blessing(2)], pushes(1), [1], id="not one whose push was killed"),
        pytest.param(3, [blessing(1), blessing(2)], pushes(1, 2, 1), [1], id="not one that was rolled back"),
    ],
)
def test_the_model_in_production_is_the_baseline(candidate, blessings, pushed, baseline):
    assert resolve(candidate, blessings, pushed) == baseline


def test_a_cached_candidate_in_production_meets_the_baseline_it_met_before():
    assert resolve(1, [blessing(1)], pushes(1)) == []
    assert resolve(2, [blessing(1), blessing(2, baseline=1)], pushes(1, 2)) == [1]


def test_an_older_model_that_is_candidate_again_meets_the_one_in_production():
    assert resolve(1, [blessing(1), blessing(2, baseline=1)], pushes(1, 2)) == [2]


def test_the_files_of_a_baseline_are_restored_from_where_it_is_served(caplog):
    shutil.rmtree("1")
    Path("served").mkdir()
    Path("served/saved_model.pb").write_text("the model")
    (pushed,) = pushes(1)
    pushed.set_string_custom_property("pushed_destination", "served")
    assert resolve(2, [blessing(1)], [pushed]) == [1]
    assert Path("1/Format-Serving/saved_model.pb").read_text() == "the model"
    assert "1/Format-Serving is gone: it is restored from served." in caplog.text


def test_a_baseline_without_files_anywhere_is_no_reason_to_compare_with_nothing():
    shutil.rmtree("1")
    with pytest.raises(UserError, match=r"in production are gone from 1 .* put them back, or `make rollback`"):
        resolve(2, [blessing(1)], pushes(1))
