"""The use case of both command functions: what is published, and what is said of it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec import structs

from command_world import CHIRPSTACK, THINGS_STACK, command
from fake_broker import ScriptedQueue
from fakes import FakeClock
from plumbline.application.command_encoding import encode_for_lorawan, encode_for_mqtt
from plumbline.application.send_command import MARGIN_S, Encode, SendCommands
from plumbline.codecs import command_event_json, command_queue
from plumbline.domain.command import Command, Verb
from plumbline.domain.command_event import CommandEvent, CommandEventKind
from plumbline.domain.device import Lorawan
from plumbline.domain.publication import Publication, Published
from plumbline.errors import BrokerUnavailable, QueueUnavailable
from plumbline.ports import OutgoingMessage, QueueMessage

K = CommandEventKind
MAX_RECEIVES = 5
NOW = FakeClock().now()


def plenty() -> float:
    return 30.0


@dataclass(slots=True)
class FakeCommandBroker:
    """Remembers what is published; answers as told, else that somebody has it."""

    published: list[list[Publication]] = field(default_factory=list)
    answers: Callable[[Publication], Published] = field(default=lambda _: Published(taken=True))
    away: bool = False

    def publish(self, publications: Sequence[Publication]) -> list[Published]:
        if self.away:
            msg = "the broker does not resolve"
            raise BrokerUnavailable(msg)
        self.published.append(list(publications))
        return [self.answers(publication) for publication in publications]

    @property
    def topics(self) -> list[list[str]]:
        return [[one.topic for one in wave] for wave in self.published]


@dataclass(slots=True)
class World:
    """The use case between a fake broker and a fake queue."""

    encode: Encode = encode_for_mqtt
    broker: FakeCommandBroker = field(default_factory=FakeCommandBroker)
    queue: ScriptedQueue = field(default_factory=ScriptedQueue)
    clock: FakeClock = field(default_factory=FakeClock)

    def use_case(self) -> SendCommands:
        return SendCommands(self.broker, self.queue, self.clock, self.encode, MAX_RECEIVES)

    @property
    def events(self) -> list[CommandEvent]:
        return [command_event_json.decode(message.body) for message in self.queue.sent]

    @property
    def kinds(self) -> list[CommandEventKind]:
        return [event.kind for event in self.events]


def received(outgoing: OutgoingMessage, receive_count: int = 1) -> QueueMessage:
    """Return the message as its queue would deliver it."""
    return QueueMessage(
        message_id=str(uuid4()),
        receipt_handle="r",
        body=outgoing.body,
        attributes=outgoing.attributes,
        group_id=outgoing.group_id,
        deduplication_id=outgoing.deduplication_id,
        sequence_number="1",
        sent_at=NOW,
        first_received_at=NOW,
        receive_count=receive_count,
    )


def message(
    one: Command, attempt: int = 1, receive_count: int = 1, lorawan: Lorawan | None = None
) -> QueueMessage:
    return received(command_queue.encode(one, attempt, lorawan), receive_count)


def order(
    device_id: str = "tower",
    verb: Verb = Verb.REBOOT,
    life_s: float = 60,
    **params: Any,  # noqa: ANN401 - of any verb
) -> Command:
    return command(device_id, verb, life_s=life_s, issued_at=NOW, **params)


def test_a_command_is_published_and_its_event_goes_back() -> None:
    world = World()
    one = order(verb=Verb.SET_INTERVAL, interval_s=300)
    report = world.use_case().run([message(one, attempt=3)], plenty)
    assert report.failed == {}
    [[publication]] = world.broker.published
    assert publication.topic == "tilt/tower/commands"
    assert json.loads(publication.payload) == {
        "command_id": str(one.command_id),
        "command": "set_interval",
        "params": {"interval_s": 300},
        "issued_at": "2026-03-01T12:00:00Z",
        "expires_at": "2026-03-01T12:01:00Z",
    }
    assert publication.response_topic == "tilt/tower/commands/ack"
    assert publication.correlation == str(one.command_id).encode()
    assert publication.expires_in_s == 59, "the broker counts whole seconds"
    [sent] = world.queue.sent
    assert (sent.group_id, sent.deduplication_id) == ("tower", f"{one.command_id}.3.sent")
    assert sent.attributes == {"type": "command_event"}
    assert world.events == [
        CommandEvent(one.command_id, "tower", K.SENT, NOW, 3, "", confirmed=True)
    ]


@pytest.mark.parametrize(("life_s", "expiry_s"), [(0.5, 1), (1, 1), (2, 1), (3.9, 2), (60, 59)])
def test_the_broker_is_told_to_keep_it_no_longer_than_it_lives(
    life_s: float, expiry_s: int
) -> None:
    world = World()
    world.use_case().run([message(order(life_s=life_s))], plenty)
    assert [[p.expires_in_s for p in wave] for wave in world.broker.published] == [[expiry_s]]


def test_what_is_past_its_time_is_not_published() -> None:
    world = World()
    late = order(life_s=60)
    world.clock.advance(60)
    assert world.use_case().run([message(late)], plenty).failed == {}
    assert world.broker.published == []
    assert world.kinds == [K.EXPIRED]


def test_what_may_have_been_published_before_is_left_to_expire_where_it_is_stored() -> None:
    """Its answer may be under way: nobody may say that it was not sent."""
    world = World()
    late = order(life_s=60)
    world.clock.advance(61)
    assert world.use_case().run([message(late, receive_count=2)], plenty).failed == {}
    world.broker.answers = lambda _: Published(unavailable="no acknowledgement")
    use_case, again = world.use_case(), message(order(life_s=90))
    with pytest.raises(BrokerUnavailable):
        use_case.run([again], plenty)
    world.clock.advance(60)
    assert use_case.run([again], plenty).failed == {}
    assert world.queue.sent == []


def test_nobody_there_to_take_it_is_another_event() -> None:
    world = World()
    world.broker.answers = lambda _: Published()
    world.use_case().run([message(order())], plenty)
    [event] = world.events
    assert event.kind is K.UNDELIVERED
    assert "nobody is subscribed" in event.detail


def broken(**changes: Any) -> QueueMessage:  # noqa: ANN401 - of any field
    good = message(order())
    return structs.replace(good, **changes)


BROKEN_BODIES = [
    "",
    "no JSON",
    "[]",
    "{}",
    '{"command_id":1}',
    json.dumps({"a": "\ud800"}),
    "[" * 10_000,
]


def body_with(**changes: object) -> str:
    members = json.loads(command_queue.encode(order(), 1, None).body)
    return json.dumps(members | changes)


@pytest.mark.parametrize(
    "body",
    [
        *BROKEN_BODIES,
        body_with(command="explode"),
        body_with(params={"x": 1}),
        body_with(params=[]),
        body_with(issued_at="yesterday"),
        body_with(expires_at="2026-03-01T12:00:00"),
        body_with(expires_at=5),
        body_with(extra=1),
        body_with(command_id=str(uuid4())),
    ],
    ids=range(15),
)
def test_a_message_that_is_no_command_fails_its_command_and_is_not_received_again(
    body: str,
) -> None:
    world = World()
    good = message(order("mast"))
    bad = broken(body=body)
    assert world.use_case().run([bad, good], plenty).failed == {}
    assert world.kinds == [K.FAILED, K.SENT]
    failed = world.events[0]
    assert bad.deduplication_id == str(failed.command_id)
    assert failed.detail
    assert world.broker.topics == [["tilt/mast/commands"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"deduplication_id": None},
        {"deduplication_id": "what"},
        {"group_id": None},
        {"group_id": "a/b"},
        {"attributes": {"type": "command", "attempt": "-1"}},
        {"attributes": {"type": "command", "attempt": "9" * 30}},
    ],
)
def test_a_message_of_no_command_at_all_ends_in_the_dead_letter_queue(
    changes: dict[str, Any],
) -> None:
    """There is nobody to tell."""
    world = World()
    bad = broken(**changes)
    assert list(world.use_case().run([bad], plenty).failed) == [bad.message_id]
    assert (world.queue.sent, world.broker.published) == ([], [])


def test_another_type_of_message_fails() -> None:
    world = World()
    world.use_case().run([broken(attributes={"type": "reading"})], plenty)
    assert world.kinds == [K.FAILED]


def test_commands_of_several_devices_are_published_together_and_of_one_in_their_order() -> None:
    world = World()
    devices = ["a", "a", "b", "a", "c", "b"]
    commands = [order(device) for device in devices]
    assert world.use_case().run([message(one) for one in commands], plenty).failed == {}
    assert world.broker.topics == [
        ["tilt/a/commands", "tilt/b/commands", "tilt/c/commands"],
        ["tilt/a/commands", "tilt/b/commands"],
        ["tilt/a/commands"],
    ]
    of_a = [e.command_id for e in world.events if e.device_id == "a"]
    assert of_a == [one.command_id for one in commands if one.device_id == "a"]


def test_what_the_broker_did_not_take_holds_back_its_device_and_no_other() -> None:
    """C1 fails, C2 of its device must not be sent before it."""
    world = World()
    first, second, other = (message(order(device)) for device in ("a", "a", "b"))
    world.broker.answers = lambda p: (
        Published(unavailable="away") if "/a/" in p.topic else Published(taken=True)
    )
    report = world.use_case().run([first, second, other], plenty)
    assert report.failed.keys() == {first.message_id, second.message_id}
    assert [event.device_id for event in world.events] == ["b"]
    assert world.broker.topics == [["tilt/a/commands", "tilt/b/commands"]]


def test_what_the_queue_of_events_refuses_is_sent_again_with_what_is_behind_it() -> None:
    world = World()
    world.queue.refuse = lambda m: m.group_id == "a"
    first, second, other = (message(order(device)) for device in ("a", "a", "b"))
    report = world.use_case().run([first, second, other], plenty)
    assert report.failed.keys() == {first.message_id, second.message_id}
    assert [m.group_id for m in world.queue.sent] == ["b"]


def test_while_the_queue_of_events_is_away_everything_comes_again() -> None:
    world = World()
    world.queue.unavailable = True
    with pytest.raises(QueueUnavailable):
        world.use_case().run([message(order())], plenty)


@pytest.mark.parametrize("away", [True, False], ids=["unresolved", "unreachable"])
def test_while_the_broker_is_away_everything_comes_again(*, away: bool) -> None:
    """Told as one failure: on one machine the batch waits, and no receive is used up."""
    world = World()
    world.broker.away = away
    world.broker.answers = lambda _: Published(unavailable="no route")
    with pytest.raises(BrokerUnavailable):
        world.use_case().run([message(order("a")), message(order("b"))], plenty)
    assert world.queue.sent == []


def test_the_last_receive_of_a_command_for_an_absent_broker_lets_it_wait_again() -> None:
    """Its time is not over, so it must not end in the dead-letter queue."""
    world = World()
    world.broker.away = True
    last, earlier = message(order("a"), receive_count=MAX_RECEIVES), message(order("b"))
    report = world.use_case().run([last, earlier], plenty)
    assert list(report.failed) == [earlier.message_id]
    [event] = world.events
    assert (event.device_id, event.kind, event.detail) == (
        "a",
        K.UNDELIVERED,
        "the broker does not resolve",
    )


def test_one_of_two_brokers_that_has_it_is_enough_at_the_last_receive_only() -> None:
    world = World()
    world.broker.answers = lambda _: Published(taken=True, unavailable="the other is away")
    with pytest.raises(BrokerUnavailable):
        world.use_case().run([message(order())], plenty)
    world.use_case().run([message(order(), receive_count=MAX_RECEIVES)], plenty)
    assert world.kinds == [K.SENT]


def test_without_time_nothing_is_published() -> None:
    world = World()
    one = message(order())
    with pytest.raises(BrokerUnavailable, match="no time"):
        world.use_case().run([one], lambda: MARGIN_S)
    assert world.broker.published == []


def test_an_empty_batch_is_nothing() -> None:
    assert World().use_case().run([], plenty).failed == {}


# --- LoRaWAN --------------------------------------------------------------------------------


def lorawan_world() -> World:
    return World(encode=encode_for_lorawan)


def test_chirpstack_gets_the_sensors_bytes() -> None:
    world = lorawan_world()
    one = order("bridge", Verb.SET_INTERVAL, life_s=3600, interval_s=1200)
    world.use_case().run([message(one, lorawan=CHIRPSTACK)], plenty)
    [[publication]] = world.broker.published
    assert publication.topic == (
        "application/52f14cd4-c6f1-4fbd-8f87-4025e1d49242/device/24e124713c140001/command/down"
    )
    assert json.loads(publication.payload) == {
        "devEui": "24e124713c140001",
        "confirmed": True,
        "fPort": 85,
        "data": "/wOwBA==",
        "id": str(one.command_id),
        "expiresAt": "2026-03-01T13:00:00Z",
    }
    assert publication.expires_in_s == 3599
    assert (publication.response_topic, publication.correlation) == (None, None)
    assert world.kinds == [K.SENT]


def test_the_things_stack_gets_the_sensors_bytes() -> None:
    world = lorawan_world()
    one = order("wall", Verb.SET_INTERVAL, interval_s=1200)
    world.use_case().run([message(one, lorawan=THINGS_STACK)], plenty)
    [[publication]] = world.broker.published
    assert publication.topic == "v3/walls@ttn/devices/wall-7/down/push"
    assert json.loads(publication.payload) == {
        "downlinks": [
            {
                "f_port": 85,
                "frm_payload": "/wOwBA==",
                "priority": "NORMAL",
                "confirmed": True,
                "correlation_ids": [f"plumbline:{one.command_id}"],
            }
        ]
    }


def test_a_deployment_without_tenants_has_none_in_its_topics() -> None:
    world = lorawan_world()
    for tenant in (None, ""):
        target = replace(THINGS_STACK, tenant=tenant)
        world.use_case().run([message(order("wall"), lorawan=target)], plenty)
    assert world.broker.topics == [["v3/walls/devices/wall-7/down/push"]] * 2


def test_a_downlink_that_the_device_does_not_confirm_says_so() -> None:
    world = lorawan_world()
    sparrow = replace(CHIRPSTACK, sensor_model="tektelic-sparrow-t0007xxx")
    world.use_case().run([message(order("bridge"), lorawan=sparrow)], plenty)
    [event] = world.events
    [[publication]] = world.broker.published
    assert event.confirmed == json.loads(publication.payload)["confirmed"]
    assert not event.confirmed


@pytest.mark.parametrize(
    ("target", "verb", "says"),
    [
        (CHIRPSTACK, Verb.IDENTIFY, "milesight-em310-tilt has no command identify"),
        (replace(CHIRPSTACK, sensor_model="nobodys-own"), Verb.REBOOT, "no codec for"),
        (replace(CHIRPSTACK, application="a/b"), Verb.REBOOT, "cannot stand in a topic"),
        (replace(THINGS_STACK, application="+"), Verb.REBOOT, "cannot stand in a topic"),
        (None, Verb.REBOOT, "the registry does not say how the device is reached"),
    ],
)
def test_what_the_device_cannot_be_told_fails_with_the_reason(
    target: Lorawan | None, verb: Verb, says: str
) -> None:
    world = lorawan_world()
    good = message(order("bridge"), lorawan=CHIRPSTACK)
    bad = message(order("wall", verb), lorawan=target)
    assert world.use_case().run([bad, good], plenty).failed == {}
    assert world.kinds == [K.FAILED, K.SENT]
    assert says in world.events[0].detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("network_server", "mine"),
        ("dev_eui", "24E124713C140001"),
        ("dev_eui", ""),
        ("network_device_id", ""),
        ("sensor_model", ""),
    ],
)
def test_attributes_that_the_relay_does_not_write_fail_the_command(name: str, value: str) -> None:
    world = lorawan_world()
    good = message(order("wall"), lorawan=THINGS_STACK)
    world.use_case().run(
        [structs.replace(good, attributes={**good.attributes, name: value})], plenty
    )
    assert world.kinds == [K.FAILED]


def test_a_withdrawal_empties_the_queue_at_the_things_stack_and_has_no_event() -> None:
    world = lorawan_world()
    outgoing = command_queue.encode_withdrawal(uuid4(), "wall", THINGS_STACK)
    report = world.use_case().run([received(outgoing)], plenty)
    assert (report.withdrawn, report.failed) == (1, {})
    [[publication]] = world.broker.published
    assert publication.topic == "v3/walls@ttn/devices/wall-7/down/replace"
    assert publication.payload == b'{"downlinks":[]}'
    assert publication.expires_in_s is None
    assert world.queue.sent == []


def test_a_withdrawal_that_no_broker_takes_is_given_up_at_its_last_receive() -> None:
    world = lorawan_world()
    world.broker.away = True
    outgoing = command_queue.encode_withdrawal(uuid4(), "wall", THINGS_STACK)
    with pytest.raises(BrokerUnavailable):
        world.use_case().run([received(outgoing)], plenty)
    report = world.use_case().run([received(outgoing, MAX_RECEIVES)], plenty)
    assert (report.given_up, report.failed) == (1, {})


def test_each_queue_refuses_what_belongs_to_the_other() -> None:
    world = World()
    world.use_case().run([message(order("bridge"), lorawan=CHIRPSTACK)], plenty)
    assert world.kinds == [K.FAILED]


def test_an_attempts_expiry_is_judged_by_the_clock_of_now() -> None:
    world = World()
    one = order(life_s=60)
    world.clock.advance(59.5)
    world.use_case().run([message(one)], plenty)
    assert world.kinds == [K.SENT]
    assert world.events[0].occurred_at == NOW + timedelta(seconds=59.5)
