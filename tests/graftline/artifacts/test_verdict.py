"""A verdict: which rules are met, how it is worded, and that it reads back as written."""

import math

import pytest

from graftline.artifacts import verdict
from graftline.artifacts.verdict import POINTS, Rule, Verdict

LOAD = Rule("time to load", 31.0, 30.0, at_least=False, unit="s")
RECALL = Rule("recall", 0.9, 0.9, at_least=True)
GAIN = Rule("gain", -0.0, -0.0, at_least=True, unit=POINTS)


def test_a_bound_that_is_just_reached_is_met():
    assert (LOAD.met, RECALL.met, GAIN.met) == (False, True, True)
    assert (LOAD.margin, RECALL.margin) == (-1, 0)


@pytest.mark.parametrize("at_least", [True, False])
def test_what_is_no_number_reaches_nothing(at_least):
    assert not Rule("recall", math.nan, 0.0, at_least).met


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (LOAD, ("31 s", "at most 30 s", "-1 s")),
        (RECALL, ("90.00 %", "at least 90.00 %", "+0.00 points")),
        (GAIN, ("0.00 points", "at least 0.00 points", "+0.00 points")),
    ],
)
def test_people_read_units_and_signs(rule, told):
    assert (rule.measured, rule.demanded, rule.spare) == told


def test_only_a_candidate_that_reaches_all_is_blessed():
    assert Verdict([RECALL, GAIN]).blessed
    assert not Verdict([RECALL, LOAD]).blessed
    assert Verdict([RECALL, LOAD]).reasons == ["time to load is 31 s, but must be at most 30 s"]


def test_a_verdict_is_read_as_it_was_written(tmp_path):
    verdict.write(str(tmp_path), Verdict([LOAD, RECALL]))
    assert verdict.read(str(tmp_path)) == Verdict([LOAD, RECALL])
    assert verdict.loads("") == []
