"""A person accepts exactly the data that stopped a run; who, when and why are recorded."""

import getpass

import pytest

from graftline.artifacts import data_review
from graftline.base.errors import UserError
from graftline.runs import store
from graftline.runs.accept_data import accept_data
from tests.past import Made, settings_of, write


@pytest.fixture
def counted(tmp_path) -> Made:
    """The statistics of a run's data."""
    (tmp_path / "statistics/Split-train").mkdir(parents=True)
    (tmp_path / "statistics/Split-train/FeatureStats.pb").write_bytes(b"1")
    return Made("StatisticsGen", {"statistics": {}}, uri=str(tmp_path / "statistics"))


def test_the_data_that_the_latest_run_stopped_at_is_accepted(tmp_path, counted):
    settings = settings_of(tmp_path)
    write(settings, "a", counted, Made("DataGate", state=store.FAILED))
    given = accept_data(settings, "a new camera")
    assert (given.who, given.why) == (getpass.getuser(), "a new camera")
    identity = data_review.identity(counted.uri)
    assert data_review.accepted(settings.accepted_data, identity) == given
    (tmp_path / "statistics/Split-train/FeatureStats.pb").write_bytes(b"2")
    assert data_review.accepted(settings.accepted_data, data_review.identity(counted.uri)) is None


@pytest.mark.parametrize(("why", "state"), [(" ", store.FAILED), ("a new camera", store.COMPLETE)])
def test_without_a_reason_or_a_run_that_stopped_nothing_is(tmp_path, counted, why, state):
    settings = settings_of(tmp_path)
    write(settings, "a", counted, Made("DataGate", state=state))
    with pytest.raises(UserError, match=r"--reason is empty|DataGate did not stop the latest run"):
        accept_data(settings, why)
    assert not settings.accepted_data.exists()


def test_before_any_run_there_is_nothing_to_accept(tmp_path):
    with pytest.raises(UserError, match="DataGate did not stop the latest run of digits"):
        accept_data(settings_of(tmp_path), "a new camera")
