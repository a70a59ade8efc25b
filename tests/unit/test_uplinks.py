"""Uplinks on their way into the queue: whose, by which codec, once a frame."""

import json
from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_broker import RECEIVED_AT, ScriptedQueue, queue_messages
from fakes import FakeClock
from plumbline.application.intake import Intake
from plumbline.codecs.queue_message import Content, decode
from plumbline.codecs.sensors.registry import models
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.reading import Status
from plumbline.domain.reason import Reason
from plumbline.ports import BrokerMessage
from uplink_events import (
    BATTERY,
    CALM,
    DEV_EUI,
    OTHER_EUI,
    SENT_AT,
    TILT,
    FakeLorawanDevices,
    chirpstack_event,
    chirpstack_topic,
    entry,
    things_stack_entry,
    things_stack_event,
    things_stack_topic,
)


class World:
    """An intake with a registry, and what it has sent."""

    def __init__(self, registry: FakeLorawanDevices | None = None) -> None:
        self.registry = registry or FakeLorawanDevices(pier=entry())
        self.queue = ScriptedQueue()
        self.clock = FakeClock(RECEIVED_AT)
        self.intake = Intake(self.queue, self.clock, self.registry)

    def take(self, *messages: tuple[str, bytes]) -> list[Content]:
        """Accept one batch; return what it sent, without the receipt."""
        before = len(self.queue.sent)
        batch = [
            BrokerMessage(topic, payload, number, RECEIVED_AT)
            for number, (topic, payload) in enumerate(messages, 1)
        ]
        self.accepted = self.intake.accept(batch)
        *sent, receipt = map(decode, queue_messages(self.queue.sent[before:]))
        assert isinstance(receipt, Receipt)
        self.receipt = receipt
        assert sum(receipt.items.values()) == len(sent)
        return sent

    def refusal(self, topic: str, payload: bytes) -> Refusal:
        """Accept one message that must be refused."""
        [refusal] = self.take((topic, payload))
        assert isinstance(refusal, Refusal)
        assert (refusal.raw, refusal.topic) == (payload, topic)
        return refusal


@pytest.mark.parametrize(
    ("registered", "topic", "payload"),
    [
        (entry(), chirpstack_topic(), chirpstack_event(TILT)),
        (things_stack_entry(), things_stack_topic(), things_stack_event(TILT)),
        (
            things_stack_entry(tenant=""),
            things_stack_topic(application="app"),
            things_stack_event(TILT),
        ),
        (entry(), chirpstack_topic(DEV_EUI.upper()), chirpstack_event(TILT)),
    ],
    ids=["chirpstack", "things-stack", "things-stack without tenants", "upper case"],
)
def test_an_uplink_is_a_reading_of_its_device(registered: Any, topic: str, payload: bytes) -> None:  # noqa: ANN401 - an entry
    world = World(FakeLorawanDevices(pier=registered))
    [delivered] = world.take((topic, payload))
    assert isinstance(delivered, DeliveredReading)
    reading = delivered.reading
    assert (reading.device_id, reading.observed_at) == ("pier", SENT_AT)
    assert (reading.tilt_angle_deg, reading.tilt_y_deg, reading.status) == (1.0, -1.0, "alarm")
    assert (reading.rssi_dbm, reading.snr_db, reading.sequence) == (-80, 5, 4)
    assert delivered.frame is not None
    assert (world.receipt.messages, world.receipt.items) == (1, {"pier": 1})


def test_an_alarm_of_an_uplink_goes_first() -> None:
    world = World(FakeLorawanDevices(pier=entry(), wall=entry(OTHER_EUI)))
    sent = world.take(
        ("tilt/tower/telemetry", b'{"timestamp":"2026-01-18T10:30:00Z","tilt_angle":1}'),
        (chirpstack_topic(OTHER_EUI), chirpstack_event(dev_eui=OTHER_EUI)),
        (chirpstack_topic(), chirpstack_event(TILT)),
    )
    ids = [d.reading.device_id for d in sent if isinstance(d, DeliveredReading)]
    assert ids == ["pier", "tower", "wall"]


@pytest.mark.parametrize(
    ("topic", "payload", "reason", "device_id"),
    [
        (chirpstack_topic(OTHER_EUI), chirpstack_event(), Reason.DEVICE_ID_MISMATCH, ""),
        (chirpstack_topic(application="b"), chirpstack_event(), Reason.DEVICE_ID_MISMATCH, ""),
        (
            chirpstack_topic(application="b"),
            chirpstack_event(application="b"),
            Reason.REGISTRY_MISMATCH,
            "pier",
        ),
        (things_stack_topic(), things_stack_event(), Reason.REGISTRY_MISMATCH, "pier"),
        (
            chirpstack_topic(OTHER_EUI),
            chirpstack_event(dev_eui=OTHER_EUI),
            Reason.UNKNOWN_DEVICE,
            "",
        ),
        (chirpstack_topic(), chirpstack_event(TILT[:-1]), Reason.INVALID_FRAME, "pier"),
        (chirpstack_topic(), chirpstack_event(f_port=86), Reason.INVALID_FRAME, "pier"),
        (chirpstack_topic(), b"{", Reason.INVALID_JSON, ""),
        ("application/app/device/x/y/event/up", chirpstack_event(), Reason.UNKNOWN_TOPIC, ""),
        ("v3/app@ttn/devices/up", things_stack_event(), Reason.UNKNOWN_TOPIC, ""),
        ("application/app/device/x/event/join", b"{}", Reason.UNKNOWN_TOPIC, ""),
        (
            chirpstack_topic(),
            chirpstack_event(at=SENT_AT - timedelta(days=91)),
            Reason.TIMESTAMP_TOO_OLD,
            "pier",
        ),
    ],
)
def test_what_is_no_uplink_of_a_device_as_registered_is_quarantined(
    topic: str, payload: bytes, reason: Reason, device_id: str
) -> None:
    refusal = World().refusal(topic, payload)
    assert (refusal.reason, refusal.device_id) == (reason, device_id)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"application": "other"}, "application 'app', registered 'other'"),
        ({"tenant": "other"}, "tenant 'ttn', registered 'other'"),
        ({"network_device_id": "d"}, "device id 'eui-1000000000000001', registered 'd'"),
        (
            {
                "network_server": NetworkServer.CHIRPSTACK,
                "tenant": None,
                "network_device_id": None,
            },
            "network server",
        ),
    ],
)
def test_every_part_of_the_place_must_be_as_registered(changes: dict[str, Any], says: str) -> None:
    world = World(FakeLorawanDevices(pier=things_stack_entry(**changes)))
    refusal = world.refusal(things_stack_topic(), things_stack_event())
    assert refusal.reason is Reason.REGISTRY_MISMATCH
    assert says in refusal.detail


def test_topic_and_payload_of_the_things_stack_name_one_device() -> None:
    world = World(FakeLorawanDevices(pier=things_stack_entry()))
    for payload in (things_stack_event(device_id="eui-x"), things_stack_event(application="b")):
        assert world.refusal(things_stack_topic(), payload).reason is Reason.DEVICE_ID_MISMATCH


def test_a_disabled_device_is_refused() -> None:
    world = World()
    world.registry.disabled.add("pier")
    refusal = world.refusal(chirpstack_topic(), chirpstack_event())
    assert (refusal.reason, refusal.device_id) == (Reason.DISABLED_DEVICE, "pier")


def test_a_model_without_a_codec_is_refused_by_name() -> None:
    world = World(FakeLorawanDevices(pier=entry(sensor_model="acme-t1")))
    refusal = world.refusal(chirpstack_topic(), chirpstack_event())
    assert refusal.reason is Reason.UNKNOWN_MODEL
    assert "acme-t1" in refusal.detail


def test_without_a_registry_every_uplink_waits_in_quarantine() -> None:
    queue = ScriptedQueue()
    message = BrokerMessage(chirpstack_topic(), chirpstack_event(), 1, RECEIVED_AT)
    accepted = Intake(queue, FakeClock(RECEIVED_AT)).accept([message])
    assert (accepted.refusals, accepted.waiting) == (1, frozenset())
    refusal = decode(queue_messages(queue.sent)[0])
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.UNKNOWN_DEVICE


# --- frames without an angle -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        (chirpstack_event(BATTERY), "no record of angles"),
        (chirpstack_event(b""), "no application data"),
        (chirpstack_event(b"", f_port=0), "no application data"),
        (chirpstack_event(b"\x02", f_port=0), "no application data"),
    ],
)
def test_a_good_frame_without_an_angle_is_kept_as_an_event(payload: bytes, detail: str) -> None:
    world = World()
    [delivered] = world.take((chirpstack_topic(), payload))
    assert isinstance(delivered, DeliveredEvent)
    assert detail in delivered.event.detail
    assert (delivered.event.device_id, delivered.event.sequence) == ("pier", 4)
    assert (world.accepted.readings, world.accepted.events, world.accepted.refusals) == (0, 1, 0)


def test_an_alarm_without_an_angle_goes_first() -> None:
    """A tracker's alarm button."""
    world = World(
        FakeLorawanDevices(pier=entry(), cart=entry(OTHER_EUI, sensor_model="dragino-lgt92"))
    )
    alarm = bytes.fromhex("00000000000000004c2e64")
    sent = world.take(
        (chirpstack_topic(), chirpstack_event()),
        (chirpstack_topic(OTHER_EUI), chirpstack_event(alarm, dev_eui=OTHER_EUI, f_port=2)),
    )
    assert isinstance(sent[0], DeliveredEvent)
    assert sent[0].event.status is Status.ALARM


def test_each_record_of_a_datalog_is_a_delivery() -> None:
    """The good ones are readings at the device's own time, which need no frame to be one."""
    world = World(FakeLorawanDevices(pier=entry(sensor_model="dragino-ts01-lb")))
    logged = int(SENT_AT.timestamp()) - 3600
    frame = bytes.fromhex("010504000200ee00") + logged.to_bytes(4, "big")
    future = bytes.fromhex("010504000200ee00") + (logged + 9999).to_bytes(4, "big")
    frame, future = frame[:7] + frame[-4:], future[:7] + future[-4:]
    sent = world.take((chirpstack_topic(), chirpstack_event(frame + future + frame, f_port=3)))
    assert [type(one) for one in sent] == [DeliveredReading, Refusal, DeliveredReading]
    assert [one.item for one in sent if isinstance(one, Refusal)] == [1]
    assert [one.frame for one in sent if isinstance(one, DeliveredReading)] == [None, None]
    assert world.receipt.items == {"pier": 3}


# --- one frame, one reading ------------------------------------------------------------------


def test_one_frame_in_two_events_of_a_batch_is_one_reading_as_it_was_heard_best() -> None:
    """Both are delivered, and equal: the store keeps the first and counts the second."""
    world = World()
    sent = world.take(
        (chirpstack_topic(), chirpstack_event(rssi=-120, snr=-12.5, gateway="far")),
        (chirpstack_topic(), chirpstack_event(f_cnt=5, at=SENT_AT + timedelta(seconds=1))),
        (
            chirpstack_topic(),
            chirpstack_event(at=SENT_AT + timedelta(seconds=2), rssi=-70, snr=7.5),
        ),
    )
    first, other, second = [d for d in sent if isinstance(d, DeliveredReading)]
    assert first.reading == second.reading
    assert (first.reading.observed_at, first.reading.rssi_dbm, first.reading.snr_db) == (
        SENT_AT,
        -70,
        7.5,
    )
    assert first.frame == second.frame
    assert other.frame != first.frame
    assert other.reading.snr_db == 5
    assert world.receipt.items == {"pier": 3}


def test_a_copy_that_is_not_trusted_gives_no_time_and_no_signal() -> None:
    """The same frame through a network server where the device is not registered."""
    world = World()
    strange, own = world.take(
        (things_stack_topic(), things_stack_event(at=SENT_AT - timedelta(seconds=1), snr=9.5)),
        (chirpstack_topic(), chirpstack_event()),
    )
    assert isinstance(strange, Refusal)
    assert isinstance(own, DeliveredReading)
    assert (own.reading.observed_at, own.reading.snr_db) == (SENT_AT, 5)


def test_equal_frames_that_are_hours_apart_are_two() -> None:
    """A counter that starts again: a backlog holds both."""
    world = World()
    later = SENT_AT + timedelta(minutes=1)
    sent = world.take(
        (chirpstack_topic(), chirpstack_event(f_cnt=0, at=later - timedelta(hours=2))),
        (chirpstack_topic(), chirpstack_event(f_cnt=0, at=later)),
        (chirpstack_topic(), chirpstack_event(f_cnt=0, at=later + timedelta(seconds=2))),
    )
    times = [d.reading.observed_at for d in sent if isinstance(d, DeliveredReading)]
    assert times == [later - timedelta(hours=2), later, later]


# --- the registry's memory, and its absence --------------------------------------------------


def test_the_registry_is_asked_once_a_batch_and_remembered_for_30_seconds() -> None:
    world = World(FakeLorawanDevices(pier=entry(), wall=entry(OTHER_EUI)))
    batch = [
        (chirpstack_topic(), chirpstack_event()),
        (chirpstack_topic(OTHER_EUI), chirpstack_event(dev_eui=OTHER_EUI)),
    ]
    world.take(*batch, *batch)
    world.clock.advance(29)
    world.take(*batch)
    assert world.registry.asked == [{DEV_EUI, OTHER_EUI}]
    world.registry.disabled.add("pier")
    world.clock.advance(1)
    [pier, wall] = world.take(*batch)
    assert isinstance(pier, Refusal)
    assert isinstance(wall, DeliveredReading)


def test_a_new_device_works_at_once() -> None:
    world = World(FakeLorawanDevices())
    world.refusal(chirpstack_topic(), chirpstack_event())
    world.registry.entries["pier"] = entry()
    [delivered] = world.take((chirpstack_topic(), chirpstack_event()))
    assert isinstance(delivered, DeliveredReading)


def test_a_batch_without_uplinks_asks_nothing() -> None:
    world = World()
    world.take(("tilt/tower/telemetry", b"?"), (chirpstack_topic(), b"?"))
    assert world.registry.asked == []


def test_while_the_registry_is_away_only_devices_that_it_does_not_remember_wait() -> None:
    world = World(FakeLorawanDevices(pier=entry(), wall=entry(OTHER_EUI)))
    world.take((chirpstack_topic(), chirpstack_event()))
    world.registry.away = True
    sent = world.take(
        (chirpstack_topic(OTHER_EUI), chirpstack_event(dev_eui=OTHER_EUI)),
        (chirpstack_topic(), chirpstack_event(f_cnt=5)),
        ("tilt/tower/telemetry", b'{"timestamp":"2026-01-18T10:30:00Z","tilt_angle":1}'),
    )
    ids = [d.reading.device_id for d in sent if isinstance(d, DeliveredReading)]
    assert ids == ["pier", "tower"]
    assert world.accepted.waiting == {0}
    assert (world.receipt.messages, world.receipt.items) == (2, {"pier": 1, "tower": 1})


def test_a_batch_of_which_everything_waits_sends_nothing() -> None:
    world = World()
    world.registry.away = True
    message = BrokerMessage(chirpstack_topic(), chirpstack_event(), 1, RECEIVED_AT)
    assert world.intake.accept([message]).waiting == {0}
    assert world.queue.sent == []


def test_a_registry_that_is_away_is_left_alone_for_five_seconds() -> None:
    world = World()
    world.registry.away = True
    message = BrokerMessage(chirpstack_topic(), chirpstack_event(), 1, RECEIVED_AT)
    for _ in range(3):
        world.intake.accept([message])
    assert len(world.registry.asked) == 1
    world.registry.away = False
    world.clock.advance(5)
    assert len(world.take((chirpstack_topic(), chirpstack_event()))) == 1


def test_a_clock_that_is_set_back_neither_keeps_what_was_known_nor_holds_uplinks_up() -> None:
    world = World(FakeLorawanDevices(pier=entry()))
    world.take((chirpstack_topic(), chirpstack_event()))
    world.registry.disabled.add("pier")
    world.clock.advance(-3600)
    [refused] = world.take((chirpstack_topic(), chirpstack_event()))
    assert isinstance(refused, Refusal)
    world.registry.disabled.clear()
    world.registry.away = True
    message = BrokerMessage(chirpstack_topic(), chirpstack_event(), 1, RECEIVED_AT)
    world.clock.advance(7200)
    assert world.intake.accept([message]).waiting == {0}
    world.registry.away = False
    world.clock.advance(-7100)
    [delivered] = world.take((chirpstack_topic(), chirpstack_event()))
    assert isinstance(delivered, DeliveredReading)


def test_an_uplink_that_cannot_be_held_is_quarantined_rather_than_lost() -> None:
    """QoS 0 from a broker that does not raise it."""
    world = World()
    world.registry.away = True
    message = BrokerMessage(chirpstack_topic(), chirpstack_event(), 0, RECEIVED_AT)
    accepted = world.intake.accept([message])
    assert (accepted.waiting, accepted.refusals) == (frozenset(), 1)


# --- any bytes -------------------------------------------------------------------------------

FRAMES = st.sampled_from([TILT, CALM, BATTERY, b""]) | st.binary(max_size=24)
TIMES = st.datetimes().map(lambda at: at.replace(tzinfo=UTC)) | st.just(SENT_AT)
EVENTS = st.one_of(
    *(
        st.builds(
            make,
            FRAMES,
            dev_eui=st.sampled_from([DEV_EUI, OTHER_EUI]),
            f_cnt=st.integers(0, 2),
            f_port=st.integers(0, 255),
            at=TIMES,
            rssi=st.floats(-200, 0),
            snr=st.floats(-40, 40),
        )
        for make in (chirpstack_event, things_stack_event)
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged_events(draw: st.DrawFn) -> bytes:
    """An event with any one member replaced by any JSON, or cut."""
    event = json.loads(draw(EVENTS))
    place = event
    while True:
        name = draw(st.sampled_from(sorted(place)))
        if not isinstance(place[name], dict) or not place[name] or draw(st.booleans()):
            break
        place = place[name]
    place[name] = draw(JSON)
    payload = json.dumps(event).encode()
    return payload[: draw(st.integers(0, len(payload)))] if draw(st.booleans()) else payload


@given(
    batch=st.lists(
        st.tuples(
            st.sampled_from(
                [chirpstack_topic(), things_stack_topic(), chirpstack_topic(OTHER_EUI)]
            ),
            EVENTS | damaged_events() | st.binary(max_size=60),
        ),
        min_size=1,
        max_size=4,
    ),
    registered=st.builds(
        lambda make, model: make(sensor_model=model),
        st.sampled_from([entry, things_stack_entry]),
        st.sampled_from([*models(), "acme-t1"]),
    ),
)
def test_any_event_is_a_reading_an_event_or_a_refusal(
    batch: list[tuple[str, bytes]], registered: Lorawan
) -> None:
    """From the broker's bytes to what the store reads; every message has its deliveries."""
    world = World(FakeLorawanDevices(pier=registered))
    sent = world.take(*batch)
    assert len(sent) >= len(batch)
    assert world.receipt.messages == len(batch)
    for one in sent:
        if isinstance(one, DeliveredReading):
            assert -180 <= one.reading.tilt_angle_deg <= 180
        elif isinstance(one, DeliveredEvent):
            assert one.event.detail
        else:
            assert isinstance(one, Refusal)
            assert (one.topic, one.raw) in batch
