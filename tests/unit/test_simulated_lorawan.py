"""Simulated LoRaWAN devices and network servers, held against the system's own codecs."""

import asyncio
import base64
import json
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from plumbline.codecs.reading_json import decode_reading
from plumbline.codecs.sensors.readings import to_readings
from plumbline.codecs.sensors.registry import codec_for, decode
from plumbline.codecs.uplink_event import UplinkEvent, decode_uplink_event
from plumbline.domain.device import Lorawan, NetworkServer
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading
from plumbline.errors import InvalidPayload
from plumbline.simulator.device import make_fleet
from plumbline.simulator.faults import Faults
from plumbline.simulator.lorawan.network import SimulatedServer
from plumbline.simulator.lorawan.radio import Downlink
from plumbline.simulator.lorawan.roster import roster
from plumbline.simulator.lorawan.sender import Sender
from plumbline.simulator.plan import Publication, Schedule, plan

NOW = datetime(2026, 1, 18, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
IDS = [f"sim-lw-{number:04d}" for number in range(1, 11)]
ENTRIES = roster(IDS, 10)


def sender(device_id: str = IDS[0], scenario: str = "step", seed: int = 1) -> Sender:
    [device] = make_fleet([device_id], scenario, seed, NOW - timedelta(minutes=5))
    return Sender(device, ENTRIES[device_id])


def understood(
    entry: Lorawan, publication: Publication
) -> tuple[UplinkEvent, Reading | DeviceEvent | InvalidPayload]:
    """Read an event as the system does."""
    event = decode_uplink_event(publication.topic, publication.payload)
    assert event.contradiction(entry) is None
    uplink = event.uplink
    sample = decode(entry.sensor_model, uplink.f_port, uplink.payload)
    [entry_read] = to_readings(sample, uplink, publication.device_id, received_at=NOW)
    return event, entry_read


@pytest.mark.parametrize("device_id", IDS)
@pytest.mark.parametrize("scenario", ["step", "accelerating", "battery"])
def test_every_frame_is_understood_as_the_truth_says(device_id: str, scenario: str) -> None:
    one = sender(device_id, scenario)
    for index in range(300):
        at_ms = NOW_MS - index * 60_000
        [publication] = one.reading(at_ms, index, twice=False)
        _, reading = understood(ENTRIES[device_id], publication)
        assert publication.expected is not None
        assert reading == decode_reading(publication.expected.decode())


def test_the_roster_has_both_servers_every_sensor_and_no_dev_eui_twice() -> None:
    assert {entry.network_server for entry in ENTRIES.values()} == set(NetworkServer)
    assert len({entry.sensor_model for entry in ENTRIES.values()}) == 5
    assert len({entry.dev_eui for entry in ENTRIES.values()}) == len(IDS)
    assert roster(IDS, 10) == ENTRIES


@pytest.mark.parametrize("device_id", IDS[:2])
def test_a_duplicate_is_the_same_frame_by_another_gateway_and_time(device_id: str) -> None:
    one, better = sender(device_id), 0
    for index in range(200):
        first, copy = one.reading(NOW_MS - index * 1000, index, twice=True)
        assert (copy.faults, copy.expected) == (("duplicate",), first.expected)
        first_event, _ = understood(ENTRIES[device_id], first)
        copied, _ = understood(ENTRIES[device_id], copy)
        assert first_event.uplink.deduplication_id == copied.uplink.deduplication_id
        later = copied.uplink.observed_at - first_event.uplink.observed_at
        assert timedelta(milliseconds=200) <= later <= timedelta(seconds=3)
        assert first.expected is not None
        expected = json.loads(first.expected)
        heard = [(u.uplink.snr_db, u.uplink.rssi_dbm) for u in (first_event, copied)]
        assert max(heard) == (expected["snr"], expected["rssi"])
        better += heard[1] > heard[0]
    assert 20 < better < 180


def test_zeros_are_left_out_as_protobuf_does() -> None:
    first, *others = (sender().reading(NOW_MS, 0, twice=False)[0] for _ in range(2))
    assert "fCnt" not in json.loads(first.payload)
    assert others[0].topic == first.topic
    one = sender(IDS[1])
    seen: set[str] = set()
    for index in range(400):
        [publication] = one.reading(NOW_MS + index * 1000, index, twice=False)
        message = json.loads(publication.payload)["uplink_message"]
        assert ("f_cnt" in message) == (index > 0)
        seen |= {"snr" if "snr" in one else "no snr" for one in message["rx_metadata"]}
    assert seen == {"snr", "no snr"}


def test_older_servers_have_older_fields() -> None:
    names = set()
    for device_id in IDS[::2]:
        [publication] = sender(device_id, seed=3).reading(NOW_MS, 0, twice=False)
        for one in json.loads(publication.payload)["rxInfo"]:
            names |= one.keys() & {"time", "gwTime", "nsTime"}
    assert names == {"time", "gwTime", "nsTime"}


@pytest.mark.parametrize("device_id", IDS[:5])
def test_malformed_frames_are_refused_for_the_reason_that_the_truth_says(device_id: str) -> None:
    one = sender(device_id)
    turns = plan(one.device, Schedule(NOW_MS, 1000, count=60), Faults(malformed=1.0), one)
    kinds = set()
    for publication in (p for turn in turns for p in turn.publications):
        if publication.malformed is not None:
            with pytest.raises(InvalidPayload) as refusal:
                understood(ENTRIES[device_id], publication)
            assert refusal.value.reason is publication.malformed.reason
            kinds.add(publication.malformed.name)
    assert kinds == {"truncated-frame", "trailing-byte"}


@pytest.mark.parametrize("device_id", IDS[:5])
def test_a_device_joins_and_says_that_it_has_started(device_id: str) -> None:
    join, start = sender(device_id).start(NOW_MS)
    assert join.topic.endswith("/join")
    _, event = understood(ENTRIES[device_id], start)
    assert isinstance(event, DeviceEvent)
    assert not join.witnessed
    assert not start.witnessed


# --- downlinks -------------------------------------------------------------------------------


class Line:
    """A connection that keeps what is published."""

    def __init__(self) -> None:
        self.said: list[tuple[str, dict[str, Any]]] = []

    async def publish(self, publication: Publication) -> None:
        self.said.append((publication.topic.rpartition("/")[2], json.loads(publication.payload)))

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        said, self.said = self.said, []
        return said


class World:
    """One device at its network server."""

    def __init__(self, device_id: str = IDS[0], lost: float = 0.0) -> None:
        self.executed: list[bytes] = []
        self.line = Line()
        self.server = SimulatedServer(
            self.line.publish, lost, lambda _, one: self.executed.append(one.payload)
        )
        self.sender = sender(device_id)
        self.sender.schedule = Schedule(NOW_MS, 10_000)
        self.server.add(self.sender)
        self.entry = ENTRIES[device_id]

    async def command(self, **members: Any) -> str:  # noqa: ANN401 - any JSON
        """Send ChirpStack a downlink; return its id."""
        command: dict[str, Any] = {
            "devEui": self.entry.dev_eui,
            "id": str(uuid4()),
            "confirmed": True,
            "fPort": 85,
            "data": base64.b64encode(b"\xff\x28\xff").decode(),
        }
        command |= members
        topic = f"application/{self.entry.application}/device/{self.entry.dev_eui}/command/down"
        self.server.take(topic, json.dumps(command).encode())
        await asyncio.sleep(0)
        return str(command["id"])

    async def push(self, *downlinks: Mapping[str, Any], verb: str = "push") -> None:
        """Send The Things Stack downlinks."""
        entry = self.entry
        topic = f"v3/{entry.application}@ttn/devices/{entry.network_device_id}/down/{verb}"
        self.server.take(topic, json.dumps({"downlinks": downlinks}).encode())
        await asyncio.sleep(0)

    async def uplink(self) -> list[tuple[str, dict[str, Any]]]:
        """Let the device send; return what the network server says then."""
        await self.server.after_uplink(self.sender, NOW_MS)
        return self.line.take()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def pushed(payload: bytes = b"\x01\x00\x00\x3c", **members: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "f_port": 2,
        "frm_payload": base64.b64encode(payload).decode(),
        "confirmed": True,
        "priority": "NORMAL",
        "correlation_ids": ["cmd-1"],
    } | members


def test_chirpstack_transmits_after_an_uplink_and_acknowledges_after_the_next() -> None:
    async def test() -> None:
        world = World()
        identity = await world.command()
        assert world.line.take() == [], "nothing before the device listens"
        [(kind, txack)] = await world.uplink()
        assert (kind, txack["queueItemId"]) == ("txack", identity)
        assert "fCntDown" not in txack, "0 is left out"
        assert world.executed == [b"\xff\x28\xff"]
        [(kind, ack)] = await world.uplink()
        assert (kind, ack["queueItemId"], ack["acknowledged"]) == ("ack", identity, True)
        assert await world.uplink() == []

    run(test())


def test_chirpstack_transmits_one_at_a_time_in_order_and_an_unconfirmed_one_without_ack() -> None:
    async def test() -> None:
        world = World()
        first = await world.command(confirmed=False)
        second = await world.command()
        said = [await world.uplink() for _ in range(3)]
        assert [[(kind, e["queueItemId"]) for kind, e in turn] for turn in said] == [
            [("txack", first)],
            [("txack", second)],
            [("ack", second)],
        ]

    run(test())


def test_chirpstack_drops_what_has_expired_and_what_is_queued_already() -> None:
    async def test() -> None:
        world = World()
        past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
        expired = await world.command(expiresAt=past)
        good = await world.command(expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
        await world.command(id=good, data="AAAA")
        (log, event), (txack, _) = await world.uplink()
        assert (log, event["code"]) == ("log", "EXPIRED")
        assert event["context"] == {"queue_item_id": expired}
        assert txack == "txack"
        await world.command(id=good)
        assert [kind for kind, _ in await world.uplink()] == ["ack"]
        assert world.executed == [b"\xff\x28\xff"]

    run(test())


@pytest.mark.parametrize(
    "members",
    [
        {"devEui": "1000000000000009"},
        {"fPort": 0},
        {"data": "!"},
        {"id": "?"},
        {"expiresAt": "soon"},
    ],
)
def test_chirpstack_takes_no_command_that_is_none(members: dict[str, Any]) -> None:
    async def test() -> None:
        world = World()
        await world.command(**members)
        assert await world.uplink() == []

    run(test())


def test_a_device_that_does_not_hear_executes_and_acknowledges_nothing() -> None:
    async def test() -> None:
        world = World(lost=1.0)
        await world.command()
        assert [kind for kind, _ in await world.uplink()] == ["txack"]
        [(kind, ack)] = await world.uplink()
        assert kind == "ack"
        assert "acknowledged" not in ack, "false is left out"
        assert world.executed == []

    run(test())


def test_the_things_stack_says_queued_sent_and_ack() -> None:
    async def test() -> None:
        world = World(IDS[1])
        await world.push(pushed())
        [(queued, event)] = world.line.take()
        assert (queued, event["downlink_queued"]["correlation_ids"]) == ("queued", ["cmd-1"])
        [(sent, event)] = await world.uplink()
        assert (sent, event["downlink_sent"]["frm_payload"]) == ("sent", "AQAAPA==")
        [(ack, event)] = await world.uplink()
        assert (ack, event["downlink_ack"]["correlation_ids"]) == ("ack", ["cmd-1"])
        assert event["end_device_ids"]["device_id"] == world.entry.network_device_id
        assert world.executed == [b"\x01\x00\x00\x3c"]

    run(test())


def test_the_things_stack_says_nack_and_transmits_again() -> None:
    async def test() -> None:
        world = World(IDS[1], lost=1.0)
        await world.push(pushed())
        said = [kind for _ in range(3) for kind, _ in await world.uplink()]
        assert said == ["queued", "sent", "nack", "sent", "nack", "sent"]
        assert world.executed == []

    run(test())


def test_the_things_stack_replaces_the_queue_and_refuses_what_cannot_be() -> None:
    async def test() -> None:
        world = World(IDS[1])
        await world.push(pushed(correlation_ids=["old"]), pushed(correlation_ids=["older"]))
        await world.push(pushed(correlation_ids=["new"]), verb="replace")
        await world.push(pushed(f_port=0), pushed(priority="URGENT"))
        said = [kind for kind, _ in world.line.take()]
        assert said == ["queued", "queued", "queued", "failed", "failed"]
        [(_, event)] = await world.uplink()
        assert event["downlink_sent"]["correlation_ids"] == ["new"]
        assert [kind for kind, _ in await world.uplink()] == ["ack"]

    run(test())


@pytest.mark.parametrize("device_id", IDS[:4])
def test_a_device_takes_the_interval_that_its_codec_encodes(device_id: str) -> None:
    one = sender(device_id)
    one.schedule = Schedule(NOW_MS, 10_000)
    encoded = codec_for(ENTRIES[device_id].sensor_model).encode("set_interval", {"interval_s": 60})
    turns = plan(one.device, one.schedule, Faults(), one)
    first = next(turns).due_ms
    one.hear(downlink(encoded.f_port, encoded.payload))
    assert next(turns).due_ms - first == 60_000


def downlink(f_port: int, payload: bytes, f_cnt: int = 0) -> Downlink:
    return Downlink(str(uuid4()), f_port, payload, confirmed=True, f_cnt=f_cnt)


def test_a_repeated_downlink_is_executed_once() -> None:
    one = sender()
    assert one.hear(downlink(85, b"\xff\x03\x3c\x00"))
    assert not one.hear(downlink(85, b"\xff\x03\x3c\x00"))
    assert one.hear(downlink(85, b"\xff\x03\x3c\x00", f_cnt=1))


def test_a_device_that_restarts_joins_anew_and_counts_from_0() -> None:
    async def test() -> None:
        world = World()
        world.sender.reading(NOW_MS, 0, twice=False)
        [before] = world.sender.reading(NOW_MS + 1000, 1, twice=False)
        encoded = codec_for("milesight-em310-tilt").encode("reboot", {})
        await world.command(data=base64.b64encode(encoded.payload).decode())
        assert [kind for kind, _ in await world.uplink()] == ["txack", "join", "up"]
        [after] = world.sender.reading(NOW_MS + 2000, 2, twice=False)
        first, second = (decode_uplink_event(p.topic, p.payload).uplink for p in (before, after))
        assert (first.f_cnt, second.f_cnt) == (1, 1), "0 was the frame of its start"
        assert first.deduplication_id != second.deduplication_id

    run(test())
