"""The data of the model in production is found through the model that is served."""

import pytest
from tfx.types import standard_artifacts

from components.baseline.resolvers import CURRENT, PUSHED, STATISTICS, ProductionDataStrategy
from graftline.artifacts.push import DIGEST, MODEL_ID
from graftline.runs import store
from graftline.serving import versions
from graftline.settings.settings import Settings
from tests.past import Made, settings_of, write


@pytest.fixture
def settings(tmp_path) -> Settings:
    return settings_of(tmp_path)


def trained(settings: Settings, name: str) -> tuple[int, int, str]:
    """Writes a run that trained a model on its own data, and publishes the model; returns two ids and its digest."""
    place = settings.run.root / name
    place.mkdir()
    (place / "saved_model.pb").write_text(name)
    examples = write(settings, name, Made("TfdsExampleGen", {"examples": {}}))["examples"]
    statistics = write(settings, name, Made("StatisticsGen", {"statistics": {}}, inputs={"examples": examples}))
    model = write(settings, name, Made("Trainer", {"model": {}}, inputs={"examples": examples}))
    push = versions.publish(place, settings.push_dir)
    return statistics["statistics"], model["model"], push.digest


def resolve(settings: Settings, current: int, pushed: list[tuple[int, int, str]]) -> list[int]:
    def statistics(number: int) -> standard_artifacts.ExampleStatistics:
        artifact = standard_artifacts.ExampleStatistics()
        artifact.id = number
        return artifact

    pushes = []
    for _, model, digest in pushed:
        artifact = standard_artifacts.PushedModel()
        artifact.set_int_custom_property(MODEL_ID, model)
        artifact.set_string_custom_property(DIGEST, digest)
        pushes.append(artifact)
    inputs = {CURRENT: [statistics(current)], STATISTICS: [statistics(one) for one, _, _ in pushed], PUSHED: pushes}
    with store.opened(settings) as opened:
        resolved = ProductionDataStrategy(str(settings.push_dir)).resolve_artifacts(opened, inputs)
    assert [one.id for one in resolved[CURRENT]] == [current]
    return [one.id for one in resolved[STATISTICS]]


def test_without_anything_in_production_there_is_nothing_to_compare_with(settings):
    assert resolve(settings, 7, []) == []


def test_what_is_served_counts_and_not_what_was_pushed_last(settings):
    first, second = trained(settings, "a"), trained(settings, "b")
    assert resolve(settings, 999, [first, second]) == [second[0]]
    versions.roll_back(settings.push_dir, "calls cats dogs")
    assert resolve(settings, 999, [first, second]) == [first[0]]


def test_the_same_data_again_is_compared_with_none(settings):
    first = trained(settings, "a")
    assert resolve(settings, first[0], [first]) == []


def test_of_a_model_that_this_store_does_not_know_nothing_is_compared(settings):
    trained(settings, "a")
    assert resolve(settings, 999, []) == []
