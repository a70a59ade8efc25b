"""What each verb takes."""

import math

import pytest

from plumbline.domain.command import PARAMETERS, Verb, wrong_params


@pytest.mark.parametrize(
    ("verb", "params"),
    [
        (Verb.SET_INTERVAL, {"interval_s": 300}),
        (Verb.SET_THRESHOLD, {"threshold_deg": 2.5}),
        (Verb.SET_THRESHOLD, {"threshold_deg": 0, "axis": "y", "alarm_times": 3}),
        (Verb.SET_THRESHOLD, {"min_deg": -5, "max_deg": 5.5, "condition": "within"}),
        (Verb.ZERO, {}),
        (Verb.IDENTIFY, {"duration_s": 10}),
    ],
)
def test_good_parameters_are_accepted(verb: Verb, params: dict[str, object]) -> None:
    assert wrong_params(verb, params) == []


@pytest.mark.parametrize(
    ("verb", "params", "named"),
    [
        (Verb.SET_INTERVAL, {}, "interval_s"),
        (Verb.SET_INTERVAL, {"interval_s": True}, "interval_s"),
        (Verb.SET_INTERVAL, {"interval_s": 604_801}, "interval_s"),
        (Verb.SET_THRESHOLD, {"threshold_deg": math.nan}, "threshold_deg"),
        (Verb.SET_THRESHOLD, {"threshold_deg": "1"}, "threshold_deg"),
        (Verb.SET_THRESHOLD, {"threshold_deg": 1, "condition": "above"}, "threshold_deg"),
        (Verb.SET_THRESHOLD, {"min_deg": 1}, "max_deg"),
        (Verb.SET_THRESHOLD, {"min_deg": 2, "max_deg": 1}, "min_deg"),
        (Verb.SET_THRESHOLD, {"threshold_deg": 1, "axis": "w"}, "axis"),
        (Verb.REBOOT, {"now": True}, "now"),
    ],
)
def test_what_is_wrong_is_named(verb: Verb, params: dict[str, object], named: str) -> None:
    (line,) = wrong_params(verb, params)
    assert named in line


def test_every_verb_has_its_parameters() -> None:
    assert PARAMETERS.keys() == set(Verb)
