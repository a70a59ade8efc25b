"""`./prove fuzz`, as long as a run of all tests has time for; and that it notices mistakes."""

import secrets
from unittest.mock import patch

import pytest
from proofs.fuzz import oracle, run, targets

from plumbline.codecs import reading_json
from plumbline.domain.reading import Reading


def test_whatever_comes_from_outside_is_accepted_or_refused_as_documented() -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")  # noqa: T201 - shown where the test fails
    report = run.fuzz(seed, cases=30_000)
    assert list(report.failures()) == []
    assert report.cases > 29_000


def test_a_case_can_be_thrown_again() -> None:
    for target in targets.targets().values():
        assert run.make_case("x", target, 7) == run.make_case("x", target, 7)


def _judged_wrong(target: str) -> str:
    report = run.TargetReport()
    for number in range(3000):
        run.try_case("planted", targets.targets()[target], number, report)
        if report.failure is not None:
            return report.failure.what
    pytest.fail("not noticed in 3,000 cases")


def test_an_angle_that_is_not_checked_is_noticed() -> None:
    with patch.object(reading_json, "is_angle_deg", lambda _: True):
        assert "no angle" in _judged_wrong("telemetry")


def test_a_time_that_is_not_checked_is_noticed() -> None:
    with patch.object(reading_json, "_require_within", lambda *_: None):
        assert "too old or in the future" in _judged_wrong("telemetry")


def test_text_that_the_database_cannot_hold_is_noticed() -> None:
    with patch.object(reading_json, "_require_storable_text", lambda _: None):
        assert "telemetry" not in _judged_wrong("telemetry")


def test_another_exception_than_a_refusal_is_noticed() -> None:
    with patch.object(reading_json, "_number", lambda value, _: float(value) if value else None):
        assert "Error" in _judged_wrong("telemetry")


def test_a_slow_case_is_noticed() -> None:
    with patch.object(run, "SLOW_AFTER_MS", -1.0):
        assert "took" in _judged_wrong("telemetry")


def test_an_item_that_is_dropped_is_noticed() -> None:
    decode = reading_json.decode_payload

    def drop_last(*args: object, **kwargs: object) -> list[Reading]:
        return decode(*args, **kwargs)[:1]  # type: ignore[arg-type, return-value]  # as called

    with patch("plumbline.codecs.telemetry.decode_payload", drop_last):
        assert "a result is not an element" in _judged_wrong("telemetry")


def test_a_target_that_accepts_or_refuses_nothing_is_wrong() -> None:
    report = run.FuzzReport({"a": run.TargetReport(), "b": run.TargetReport()})
    report.targets["b"].words[oracle.ACCEPTED] = 5
    assert [line.partition(":")[2] for line in report.failures()] == [
        " nothing was ever accepted: the cases reach nothing",
        " nothing was ever refused: the cases try nothing",
    ]
