"""What a device publishes and when, faults included."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plumbline.codecs.telemetry import decode_message
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason
from plumbline.errors import ConfigurationError, InvalidPayload
from plumbline.simulator.config import SimulationConfig
from plumbline.simulator.device import Device, make_fleet
from plumbline.simulator.faults import Faults
from plumbline.simulator.malformed import MALFORMED, Malformed
from plumbline.simulator.plan import Publication, Schedule, backlog, plan

NOW = datetime.now(UTC).replace(microsecond=0)
NOW_MS = round(NOW.timestamp() * 1000)
ALL = Faults(duplicates=0.1, late=0.1, out_of_order=0.1, malformed=0.1, disconnects=0.1)


def device(name: str = "sim-1", scenario: str = "steady") -> Device:
    [made] = make_fleet([name], scenario, 7, NOW)
    return made


def published(
    count: int, faults: Faults, step_ms: int = 1000, scenario: str = "steady"
) -> list[Publication]:
    one = device(scenario=scenario)
    turns = plan(one, backlog(one, count, step_ms, NOW_MS), faults)
    return [publication for turn in turns for publication in turn.publications]


def refusal_of(topic: str, payload: bytes) -> InvalidPayload | None:
    try:
        results = decode_message(topic, payload, NOW)
    except InvalidPayload as error:
        return error
    [result] = results
    return result if isinstance(result, InvalidPayload) else None


def observed_at(publication: Publication) -> datetime:
    [reading] = decode_message(publication.topic, publication.payload, NOW)
    assert isinstance(reading, Reading)
    return reading.observed_at


@pytest.mark.parametrize("kind", MALFORMED, ids=lambda kind: kind.name)
def test_each_malformed_message_is_refused_for_its_reason(kind: Malformed) -> None:
    refusal = refusal_of("tilt/sim-1/telemetry", kind.make("sim-1", NOW))
    assert refusal is not None
    assert refusal.reason is kind.reason


def test_malformed_messages_cover_every_reason_a_device_can_cause() -> None:
    """The others belong to topics it may not use, to LoRaWAN frames and to commands."""
    elsewhere = {
        "unknown_topic",
        "codec_failed",
        "invalid_frame",
        "unknown_model",
        "unknown_device",
        "disabled_device",
        "registry_mismatch",
        "unknown_command",
    }
    assert {kind.reason for kind in MALFORMED} >= {r for r in Reason if r.value not in elsewhere}


def test_without_faults_readings_come_in_order_and_once() -> None:
    moments = [observed_at(p) for p in published(200, Faults())]
    assert len(moments) == 200
    assert all(earlier < later for earlier, later in pairwise(moments))


@given(
    count=st.integers(1, 150),
    fractions=st.tuples(*[st.sampled_from([0.0, 0.05, 0.5, 1.0])] * 4),
    step_ms=st.sampled_from([2, 999, 60_000]),
    scenario=st.sampled_from(["steady", "dropout"]),
)
def test_every_reading_is_published_once_whatever_the_faults(
    count: int, fractions: tuple[float, float, float, float], step_ms: int, scenario: str
) -> None:
    """Beside planted duplicates, which are equal byte for byte and come after their original."""
    seen: dict[datetime, bytes] = {}
    for publication in published(count, Faults(*fractions), step_ms, scenario):
        if publication.malformed is not None:
            refusal = refusal_of(publication.topic, publication.payload)
            assert refusal is not None
            assert refusal.reason is publication.malformed.reason
        elif publication.faults == ("duplicate",):
            assert seen[observed_at(publication)] == publication.payload
        else:
            at = observed_at(publication)
            assert at not in seen
            seen[at] = publication.payload
    assert len(seen) == count
    assert max(seen) < NOW


def test_faults_come_in_their_fractions() -> None:
    counts = Counter(p.faults[0] for p in published(5000, ALL) if p.faults)
    assert counts["duplicate"] == pytest.approx(500, rel=0.2)
    assert counts["late"] == pytest.approx(500, rel=0.2)
    assert counts["out_of_order"] == pytest.approx(450, rel=0.2)
    assert counts["malformed"] == pytest.approx(500, rel=0.2)


@pytest.mark.parametrize(("fault", "behind"), [("late", 8), ("out_of_order", 1)])
def test_held_back_readings_come_behind_later_ones_and_others_do_not(
    fault: str, behind: int
) -> None:
    """Unless the later ones are themselves held back, or the end has come."""
    newest = datetime.min.replace(tzinfo=UTC)
    overtaken: list[bool] = []
    for publication in published(2000, Faults(**{fault: 0.05})):
        at = observed_at(publication)
        if publication.faults == (fault,):
            overtaken.append(newest - at >= timedelta(seconds=behind))
        else:
            assert at > newest
            newest = at
    assert len(overtaken) > 50
    assert sum(overtaken) > 0.8 * len(overtaken)


def test_all_kinds_of_malformed_messages_come_by() -> None:
    names = {p.malformed.name for p in published(2000, Faults(malformed=1.0)) if p.malformed}
    assert names == {kind.name for kind in MALFORMED}


def test_a_malformed_message_has_a_moment_of_its_own() -> None:
    """Stored by mistake, it would not hide behind a reading."""
    everything = published(1000, Faults(malformed=1.0), step_ms=2)
    moments = {observed_at(p) for p in everything if p.malformed is None}
    for publication in everything:
        if publication.malformed and publication.malformed.name == "true-as-battery":
            text = json.loads(publication.payload)["timestamp"]
            assert datetime.fromisoformat(text) not in moments


def test_a_plan_is_reproducible() -> None:
    assert published(300, ALL) == published(300, ALL)


def test_disconnects_are_planted() -> None:
    one = device()
    turns = list(plan(one, Schedule(NOW_MS, 1000, count=1000), Faults(disconnects=0.1)))
    assert sum(turn.disconnect for turn in turns) == pytest.approx(100, rel=0.3)


def test_a_schedule_ends_with_its_time() -> None:
    schedule = Schedule(NOW_MS, 1000, until_ms=NOW_MS + 10_000)
    assert len(list(plan(device(), schedule, Faults()))) == 10


def test_a_device_with_a_dropout_still_makes_its_count_before_now() -> None:
    one = device(scenario="dropout")
    turns = list(plan(one, backlog(one, 500, 60_000, NOW_MS), Faults()))
    assert len(turns) == 500
    assert turns[-1].due_ms < NOW_MS
    # Eight hours: several periods, each with a silence.
    assert turns[-1].due_ms - turns[0].due_ms > 499 * 60_000


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        ("scenario", {"scenario": "earthquake"}),
        ("interval", {"interval_s": 0.001}),
        ("count", {"count": 0}),
        ("duration", {"duration_s": 0.0}),
        ("at_once", {"at_once": True}),
        ("at_once", {"at_once": True, "count": 1, "duration_s": 1.0}),
        ("epoch", {"epoch": datetime(2026, 1, 1)}),  # noqa: DTZ001 - the missing zone is the case
        ("url", {"url": "http://127.0.0.1"}),
        ("url", {"url": "mqtt:127.0.0.1"}),
    ],
)
def test_wrong_options_are_refused_by_name(setting: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{setting}: "):
        SimulationConfig(**({"url": "mqtt://127.0.0.1"} | options))


def test_a_fraction_beyond_one_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^late: "):
        Faults(late=1.5)
