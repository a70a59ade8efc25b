"""The parsing run: order, acknowledgement after acceptance, quarantine, deadline."""

import json
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_broker import RECEIVED_AT, FakeBroker, FakeSession, ScriptedQueue, queue_messages
from fakes import FakeClock
from plumbline.application.intake import Intake
from plumbline.application.parse import Parse, ParseReport
from plumbline.codecs.queue_message import Content, decode
from plumbline.domain.delivery import DeliveredReading, Receipt, Refusal
from plumbline.domain.reading import format_time
from plumbline.domain.reason import Reason
from plumbline.errors import AlreadyRunning, BrokerUnavailable, QueueUnavailable
from plumbline.ports import BrokerMessage, LorawanDevice, LorawanDevices
from plumbline.topology import Drain
from uplink_events import (
    BATTERY,
    DEV_EUI,
    OTHER_EUI,
    FakeLorawanDevices,
    chirpstack_event,
    chirpstack_topic,
    entry,
)

DRAIN = Drain(batch_size=10, linger_s=1, quiet_s=1, margin_s=5)


class FixedClock:
    def now(self) -> datetime:
        return RECEIVED_AT


class NoLock:
    def hold(self, function: str) -> AbstractContextManager[None]:
        del function
        return nullcontext()


class HeldLock:
    def hold(self, function: str) -> AbstractContextManager[None]:
        raise AlreadyRunning(function)


def parse(
    broker: FakeBroker,
    queue: ScriptedQueue,
    drain: Drain = DRAIN,
    registry: LorawanDevices | None = None,
) -> Parse:
    return Parse(broker, Intake(queue, FixedClock(), registry), NoLock(), drain)


def payload(sequence: int, status: str = "normal") -> bytes:
    members = {
        "timestamp": format_time(RECEIVED_AT),
        "tilt_angle": 1.5,
        "status": status,
        "sequence": sequence,
    }
    return json.dumps(members).encode()


def publish(broker: FakeBroker, device: str, sequence: int, status: str = "normal") -> None:
    broker.publish(f"tilt/{device}/telemetry", payload(sequence, status))


def contents(queue: ScriptedQueue) -> list[Content]:
    return [decode(message) for message in queue_messages(queue.sent)]


def readings(queue: ScriptedQueue) -> list[tuple[str, int | None]]:
    return [
        (c.reading.device_id, c.reading.sequence)
        for c in contents(queue)
        if isinstance(c, DeliveredReading)
    ]


def test_a_drained_message_is_acknowledged_and_has_a_receipt() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    publish(broker, "a", 1)
    publish(broker, "a", 2)
    report = parse(broker, queue).run(lambda: 60.0)
    assert readings(queue) == [("a", 1), ("a", 2)]
    assert broker.queues["a"] == []
    [receipt] = [c for c in contents(queue) if isinstance(c, Receipt)]
    assert (receipt.messages, receipt.items) == (2, {"a": 2})
    assert (report.messages, report.readings, report.drained) == (2, 2, True)


def test_devices_with_an_alarm_go_first_and_keep_their_order() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    publish(broker, "calm", 1)
    publish(broker, "tilting", 1)
    publish(broker, "calm", 2)
    publish(broker, "tilting", 2, "alarm")
    publish(broker, "tilting", 3)
    parse(broker, queue).run(lambda: 60.0)
    assert readings(queue) == [
        ("tilting", 1),
        ("tilting", 2),
        ("tilting", 3),
        ("calm", 1),
        ("calm", 2),
    ]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["normal", "alarm"]))))
def test_p1_1_no_batch_changes_the_order_of_a_device(
    published: list[tuple[str, str]],
) -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    for sequence, (device, status) in enumerate(published):
        publish(broker, device, sequence, status)
    parse(broker, queue).run(lambda: 60.0)
    for device in "abcd":
        expected = [n for n, (owner, _) in enumerate(published) if owner == device]
        assert [n for owner, n in readings(queue) if owner == device] == expected


def test_nothing_is_acknowledged_while_the_queue_is_down() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    publish(broker, "a", 1)
    queue.unavailable = True
    with pytest.raises(QueueUnavailable):
        parse(broker, queue).run(lambda: 60.0)
    assert len(broker.queues["a"]) == 1


def test_an_entry_that_fails_is_not_acknowledged_and_holds_back_its_device() -> None:
    broker = FakeBroker()
    queue = ScriptedQueue(lambda m: m.group_id == "a" and '"sequence":3' in m.body)
    for sequence in range(1, 6):
        publish(broker, "a", sequence)
        publish(broker, "b", sequence)
    report = parse(broker, queue).run(lambda: 60.0)
    assert report.held == 3
    assert [n for device, n in readings(queue) if device == "a"] == [1, 2]
    assert [n for device, n in readings(queue) if device == "b"] == [1, 2, 3, 4, 5]
    assert [json.loads(m.payload)["sequence"] for m in broker.queues["a"]] == [3, 4, 5]
    [receipt] = [c for c in contents(queue) if isinstance(c, Receipt)]
    assert (receipt.messages, receipt.items) == (7, {"a": 2, "b": 5})
    queue.refuse = lambda _: False
    parse(broker, queue).run(lambda: 60.0)
    assert [n for device, n in readings(queue) if device == "a"] == [1, 2, 3, 4, 5]


def test_a_held_device_is_not_overtaken_by_a_later_batch_of_the_run() -> None:
    broker = FakeBroker()
    queue = ScriptedQueue(lambda m: '"sequence":3' in m.body)
    for sequence in range(25):
        publish(broker, "a", sequence)
    parse(broker, queue).run(lambda: 60.0)
    assert [n for _, n in readings(queue)] == [0, 1, 2]


def test_nothing_is_acknowledged_without_the_receipt() -> None:
    broker = FakeBroker()
    queue = ScriptedQueue(lambda m: m.attributes["type"] == "receipt")
    publish(broker, "a", 1)
    with pytest.raises(QueueUnavailable):
        parse(broker, queue).run(lambda: 60.0)
    assert len(broker.queues["a"]) == 1


def test_a_bad_message_is_quarantined_with_its_bytes_and_acknowledged() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    publish(broker, "a", 1)
    broker.publish("tilt/a/telemetry", b"\xff\x00bad")
    publish(broker, "a", 2)
    parse(broker, queue).run(lambda: 60.0)
    [refusal] = [c for c in contents(queue) if isinstance(c, Refusal)]
    assert (refusal.raw, refusal.reason, refusal.device_id, refusal.topic) == (
        b"\xff\x00bad",
        Reason.NOT_UTF8,
        "a",
        "tilt/a/telemetry",
    )
    assert readings(queue) == [("a", 1), ("a", 2)]
    assert broker.queues["a"] == []


def test_a_bad_element_of_an_array_is_quarantined_alone() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    broker.publish("tilt/a/telemetry", b"[" + payload(1) + b",7," + payload(2) + b"]")
    parse(broker, queue).run(lambda: 60.0)
    [refusal] = [c for c in contents(queue) if isinstance(c, Refusal)]
    assert (refusal.item, refusal.reason) == (1, Reason.NOT_AN_OBJECT)
    [receipt] = [c for c in contents(queue) if isinstance(c, Receipt)]
    assert (receipt.messages, receipt.items) == (1, {"a": 3})


def test_a_large_bad_message_travels_in_parts_and_counts_once() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    raw = bytes(range(256)) * 4096
    broker.publish("tilt/a/telemetry", raw)
    parse(broker, queue).run(lambda: 60.0)
    parts = [c for c in contents(queue) if isinstance(c, Refusal)]
    assert b"".join(part.raw for part in parts) == raw
    assert {part.delivery_id for part in parts} == {parts[0].delivery_id}
    assert all(len(message.body) < 256 * 1024 for message in queue.sent)
    [receipt] = [c for c in contents(queue) if isinstance(c, Receipt)]
    assert receipt.items == {"a": 1}


def test_a_run_ends_before_its_deadline_and_the_rest_stays_with_the_broker() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    for sequence in range(35):
        publish(broker, "a", sequence)
    left = iter([60.0, 30.0, 5.0])
    report = parse(broker, queue).run(lambda: next(left))
    assert not report.drained
    assert len(broker.queues["a"]) == 15
    parse(broker, queue).run(lambda: 60.0)
    assert [n for _, n in readings(queue)] == list(range(35))


def test_every_broker_task_is_drained_and_one_that_is_down_stops_no_other() -> None:
    broker, queue = FakeBroker("a", "b", "c"), ScriptedQueue()
    for address in "abc":
        broker.publish(f"tilt/{address}/telemetry", payload(1), address)
    broker.down = {"b"}
    with pytest.raises(BrokerUnavailable):
        parse(broker, queue).run(lambda: 60.0)
    assert [device for device, _ in readings(queue)] == ["a", "c"]


def test_a_session_that_the_broker_did_not_know_is_reported() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    broker.session_present = False
    assert parse(broker, queue).run(lambda: 60.0).sessions_created == 1


def test_the_report_counts_what_was_taken_by_what_it_was() -> None:
    broker, queue = FakeBroker(), ScriptedQueue(lambda m: m.group_id == "late")
    empty = parse(broker, queue).run(lambda: 60.0)
    assert empty == ParseReport()
    for sequence in range(1, 4):
        publish(broker, "a", sequence)
    publish(broker, "late", 1)
    broker.publish("tilt/a/telemetry", b"?")
    broker.publish("tilt/a/telemetry", b"[" + payload(4) + b",1]")
    answer = {"command_id": str(uuid4()), "status": "failed"}
    broker.publish("tilt/a/commands/ack", json.dumps(answer).encode())
    broker.publish("v3/app@ttn/devices/d/down/queued", b'{"end_device_ids":{"device_id":"d"}}')
    broker.publish(chirpstack_topic(), chirpstack_event(BATTERY))
    report = parse(broker, queue, registry=FakeLorawanDevices(pier=entry())).run(lambda: 60.0)
    assert report == ParseReport(
        messages=9,
        readings=5,
        events=1,
        refusals=2,
        answers=1,
        held=1,
        batches=1,
        drained=False,
    )
    [receipt] = [c for c in contents(queue) if isinstance(c, Receipt)]
    assert (receipt.messages, receipt.items) == (8, {"a": 7, "pier": 1})
    queue.refuse = lambda _: False
    for sequence in range(10, 29):
        publish(broker, "a", sequence)
    report = parse(broker, queue).run(lambda: 60.0)
    assert report == ParseReport(messages=20, readings=20, batches=2)


def test_a_run_holds_its_own_lock() -> None:
    held: list[str] = []

    class Lock(NoLock):
        def hold(self, function: str) -> AbstractContextManager[None]:
            held.append(function)
            return super().hold(function)

    Parse(FakeBroker(), Intake(ScriptedQueue(), FixedClock()), Lock(), DRAIN).run(lambda: 60.0)
    assert held == ["parsing"]


@pytest.mark.parametrize(("remaining_s", "messages"), [(5.0, 0), (5.1, 1)])
def test_a_run_leaves_its_margin_alone(remaining_s: float, messages: int) -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    publish(broker, "a", 1)
    assert parse(broker, queue).run(lambda: remaining_s).messages == messages


def test_the_broker_is_asked_as_the_topology_says() -> None:
    asked: list[tuple[int, float, float]] = []

    class Asked(FakeSession):
        def receive(
            self, max_messages: int, *, linger_s: float, quiet_s: float
        ) -> list[BrokerMessage]:
            asked.append((max_messages, linger_s, quiet_s))
            return []

    class AskedBroker(FakeBroker):
        def open(self, address: str) -> FakeSession:
            return Asked(self, address)

    drain = Drain(batch_size=10, linger_s=2, quiet_s=3, margin_s=5)
    parse(AskedBroker(), ScriptedQueue(), drain).run(lambda: 60.0)
    assert asked == [(10, 2, 3)]


def test_every_task_of_which_one_is_down_is_the_first_error() -> None:
    broker = FakeBroker("a", "b")
    broker.down = {"a", "b"}
    with pytest.raises(BrokerUnavailable, match="a is down"):
        parse(broker, ScriptedQueue()).run(lambda: 60.0)


def test_two_runs_never_work_at_once() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    publish(broker, "a", 1)
    with pytest.raises(AlreadyRunning):
        Parse(broker, Intake(queue, FixedClock()), HeldLock(), DRAIN).run(lambda: 60.0)
    assert queue.sent == []


# --- uplinks while the registry of devices is away -------------------------------------------


def publish_uplink(broker: FakeBroker, f_cnt: int, dev_eui: str = DEV_EUI) -> None:
    at = RECEIVED_AT + timedelta(seconds=f_cnt)
    broker.publish(chirpstack_topic(dev_eui), chirpstack_event(dev_eui=dev_eui, f_cnt=f_cnt, at=at))


def test_uplinks_that_wait_hold_up_no_other_device_and_come_in_order() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    registry = FakeLorawanDevices(pier=entry())
    registry.away = True
    for number in range(1, 31):
        publish_uplink(broker, number)
        publish(broker, "tower", number)
    report = parse(broker, queue, registry=registry).run(lambda: 60.0)
    assert (report.waiting, report.readings, report.drained) == (30, 30, False)
    assert readings(queue) == [("tower", number) for number in range(1, 31)]
    assert len(broker.queues["a"]) == 30, "nothing of them is acknowledged"
    registry.away = False
    report = parse(broker, queue, registry=registry).run(lambda: 60.0)
    assert (report.waiting, report.drained) == (0, True)
    assert readings(queue)[30:] == [("pier", number) for number in range(1, 31)]
    assert broker.queues["a"] == []


def test_no_uplink_overtakes_one_that_waits() -> None:
    """The registry comes back in the middle of a run."""
    broker, queue = FakeBroker(), ScriptedQueue()
    registry = AwayOnce(pier=entry(), wall=entry(OTHER_EUI))
    for number in range(1, 16):
        publish_uplink(broker, number)
    publish_uplink(broker, 1, OTHER_EUI)
    intake = Intake(queue, HurryingClock(), registry)
    report = Parse(broker, intake, NoLock(), DRAIN).run(lambda: 60.0)
    assert report.waiting == 15
    assert readings(queue) == [("wall", 1)]
    Parse(broker, intake, NoLock(), DRAIN).run(lambda: 60.0)
    assert readings(queue)[1:] == [("pier", number) for number in range(1, 16)]


def test_a_run_ends_before_the_broker_has_no_place_for_more_that_wait() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    registry = FakeLorawanDevices(pier=entry())
    registry.away = True
    for number in range(1, 21_001):
        publish_uplink(broker, number % 200)
    drain = Drain(batch_size=1000, linger_s=1, quiet_s=1, margin_s=5)
    report = parse(broker, queue, drain, registry).run(lambda: 60.0)
    assert 18_000 < report.waiting < 20_000


def test_a_run_ends_before_the_packet_id_of_one_that_waits_is_given_out_again() -> None:
    broker, queue = FakeBroker(), ScriptedQueue()
    registry = FakeLorawanDevices(pier=entry())
    registry.away = True
    for _ in range(2_000):
        broker.publish("tilt/a/telemetry", b"")
    publish_uplink(broker, 1)
    for _ in range(63_000):
        broker.publish("tilt/a/telemetry", b"")
    drain = Drain(batch_size=3000, linger_s=1, quiet_s=1, margin_s=5)
    report = parse(broker, queue, drain, registry).run(lambda: 60.0)
    assert (report.messages, report.waiting, report.drained) == (63_000, 1, False)


class AwayOnce(FakeLorawanDevices):
    """Cannot be asked the first time."""

    def find(self, dev_euis: Collection[str]) -> Mapping[str, LorawanDevice]:
        self.away = not self.asked
        return super().find(dev_euis)


class HurryingClock(FakeClock):
    """Each look finds it ten seconds later."""

    def now(self) -> datetime:
        self.advance(10)
        return super().now()


def test_a_task_that_has_left_the_name_is_drained_with_the_others() -> None:
    broker, queue = FakeBroker("a", "leaving"), ScriptedQueue()
    publish(broker, "d1", 1)
    broker.publish("tilt/d2/telemetry", payload(1), "leaving")
    broker.left.add("leaving")
    assert parse(broker, queue).run(lambda: 60).messages == 1
    assert parse(broker, queue).run(lambda: 60, ["leaving"]).messages == 1
