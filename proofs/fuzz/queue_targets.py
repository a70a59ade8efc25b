"""The queues' messages: what is on them was sent by us, or by somebody who has access to them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random
from uuid import UUID

from plumbline.codecs import command_queue
from plumbline.codecs.queue_message import (
    decode,
    encode_command_event,
    encode_delivered,
    encode_event,
    encode_receipt,
    encode_refusal,
)
from plumbline.domain.command import Command, Verb
from plumbline.domain.command_event import Arrival, CommandEvent, CommandEventKind, Sender
from plumbline.domain.delivery import DeliveredEvent, Receipt, Refusal
from plumbline.domain.device_event import DeviceEvent
from plumbline.domain.reading import Reading, Status
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidMessage
from plumbline.ports import OutgoingMessage
from proofs.fuzz import payloads
from proofs.fuzz.oracle import (
    ACCEPTED,
    arrived,
    require,
    require_content,
    require_round_trip,
)
from proofs.fuzz.target import Case, Target

BROKEN = "not readable"
"""A queue message that was refused; it has no reason of the closed list."""

_IDENTITY = UUID("0194790b-0000-0000-0000-000000000007")
_FRAME = UUID("6f6d2f0e-4f83-5d7c-9b0e-2f6a52d0c1aa")


def queued(now: datetime) -> list[Target]:
    """Return a target for each type of message."""
    reading = Reading(
        payloads.DEVICE,
        now,
        1.25,
        Status.WARNING,
        85,
        tilt_x_deg=-0.5,
        rssi_dbm=-87.0,
        sequence=4711,
        extra={"firmware": "1.2", "vendor": {"axes": [1, 2.5, None]}},
    )
    event = DeviceEvent(payloads.DEVICE, now, "start-up", Status.FAULT, {"a": [1.5]}, -80, 5.5, 3)
    refusal = Refusal(
        _IDENTITY, payloads.DEVICE, "tilt/x", b"\xff{", Reason.NOT_UTF8, "byte 0", now, item=2
    )
    sender = Sender(application="app", tenant="ttn", network_device_id="eui-1")
    answer = CommandEvent(
        UUID(payloads.COMMAND_ID),
        payloads.DEVICE,
        CommandEventKind.ACKNOWLEDGED,
        now,
        detail="done",
        arrival=Arrival(_IDENTITY, "v3/x", b"{}", now, sender),
    )
    command = Command(
        UUID(payloads.COMMAND_ID),
        payloads.DEVICE,
        Verb.SET_INTERVAL,
        {"interval_s": 300},
        issued_at=now,
        expires_at=now,
    )
    lorawan = next(iter(payloads.registry().values())).lorawan
    lorawan = replace(lorawan, tenant="ttn", network_device_id="eui-1")
    commands = [command_queue.encode(command, 1, None), command_queue.encode(command, 2, lorawan)]
    kinds: Mapping[str, Sequence[OutgoingMessage]] = {
        "reading": [encode_delivered(reading, _IDENTITY, now, _FRAME)],
        "device event": [encode_event(DeliveredEvent(event, _IDENTITY, now, _FRAME))],
        "refusal": list(encode_refusal(refusal)),
        "receipt": [
            encode_receipt(Receipt(_IDENTITY.hex[:24], now, 3, {payloads.DEVICE: 2, "": 1}))
        ],
        "command event": [
            encode_command_event(answer),
            encode_command_event(replace(answer, arrival=None, attempt=2)),
        ],
    }
    found = [_queue_target(f"queue: {kind}", good, _judge_queued) for kind, good in kinds.items()]
    return [*found, _queue_target("queue: command", commands, _judge_command)]


def _queue_target(
    name: str, good: Sequence[OutgoingMessage], judge: Callable[[OutgoingMessage], object]
) -> Target:
    bodies = payloads.of_json(*(json.loads(one.body) for one in good))
    attributes = payloads.of_json(*({**one.attributes} for one in good))

    def make(rng: Random) -> Case:
        if rng.random() < 0.8:
            return Case(rng.choice(attributes.raw).decode(), bodies.draw(rng))
        return Case(attributes.draw(rng).decode(errors="replace"), rng.choice(bodies.raw))

    def judge_case(case: Case) -> list[str]:
        try:
            beside = json.loads(case.beside)
        except (ValueError, RecursionError):
            beside = None
        if not isinstance(beside, dict):
            beside = {}
        texts = {key: value for key, value in beside.items() if isinstance(value, str)}
        body = case.payload.decode(errors="surrogateescape")
        try:
            judge(OutgoingMessage(body, texts, good[0].group_id, good[0].deduplication_id))
        except InvalidMessage as error:
            require(str(error), "a refusal that says nothing")
            return [BROKEN]
        return [ACCEPTED]

    return Target(name, 3, make, judge_case)


def _judge_queued(message: OutgoingMessage) -> None:
    content = decode(arrived(message))
    require_content(content)
    if not isinstance(content, Refusal) or content.parts == 1:
        require_round_trip(content)


def _judge_command(message: OutgoingMessage) -> None:
    found = command_queue.decode(arrived(message))
    if isinstance(found, command_queue.QueuedCommand):
        command = found.command
        again = command_queue.encode(command, 1, found.lorawan)
        require(command_queue.decode(arrived(again)) == found, "another command came over")
    else:
        again = command_queue.encode_withdrawal(found.command_id, payloads.DEVICE, found.lorawan)
        require(command_queue.decode(arrived(again)) == found, "another withdrawal came over")
