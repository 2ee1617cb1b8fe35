"""The baseline: the latest blessed model, never the candidate itself."""

import pytest
from tfx.types import standard_artifacts

from components.baseline import BLESSING, CANDIDATE, MODEL, LatestBlessedStrategy


def model(number: int) -> standard_artifacts.Model:
    artifact = standard_artifacts.Model()
    artifact.id = number
    return artifact


def blessing(number: int, blessed: bool = True, baseline: int | None = None) -> standard_artifacts.ModelBlessing:
    artifact = standard_artifacts.ModelBlessing()
    artifact.set_int_custom_property("current_model_id", number)
    artifact.set_int_custom_property("blessed", int(blessed))
    if baseline is not None:
        artifact.set_int_custom_property("baseline_model_id", baseline)
    return artifact


def resolve(candidate: int, blessings: list[standard_artifacts.ModelBlessing]) -> list[int]:
    models = [model(number) for number in (1, 2, 3)]
    inputs = {CANDIDATE: [model(candidate)], MODEL: models, BLESSING: blessings}
    resolved = LatestBlessedStrategy().resolve_artifacts(None, inputs)
    assert [found.id for found in resolved[CANDIDATE]] == [candidate]
    return [found.id for found in resolved[MODEL]]


@pytest.mark.parametrize(
    ("candidate", "blessings", "baseline"),
    [
        (1, [], []),
        (2, [blessing(1)], [1]),
        (3, [blessing(1), blessing(2, blessed=False)], [1]),
        (3, [blessing(2, baseline=1), blessing(1)], [2]),
    ],
    ids=["none yet", "the one before", "not an unblessed one", "the latest"],
)
def test_the_latest_blessed_model_is_the_baseline(candidate, blessings, baseline):
    assert resolve(candidate, blessings) == baseline


def test_a_cached_candidate_that_was_blessed_meets_the_baseline_it_met_before():
    assert resolve(1, [blessing(1)]) == []
    assert resolve(2, [blessing(1), blessing(2, baseline=1)]) == [1]


def test_an_older_model_that_is_candidate_again_meets_the_latest():
    assert resolve(1, [blessing(1), blessing(2, baseline=1)]) == [2]
