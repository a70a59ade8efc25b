"""Whole batches, as parsing takes them from the broker: every item is accounted for once."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from random import Random

from fake_broker import ScriptedQueue
from fakes import FakeClock
from plumbline.application.intake import Intake
from plumbline.codecs.queue_message import decode
from plumbline.domain.command_event import CommandEvent
from plumbline.domain.delivery import DeliveredEvent, DeliveredReading, Receipt, Refusal
from plumbline.domain.device import NetworkServer
from plumbline.ports import BrokerMessage
from proofs.fuzz import payloads
from proofs.fuzz.oracle import ACCEPTED, arrived, require, require_content, require_sendable
from proofs.fuzz.target import Case, Target
from proofs.fuzz.uplink_targets import Registry

_MESSAGES = 4


def batches(now: datetime) -> Target:
    """Return the target."""
    draw = _messages(now)

    def make(rng: Random) -> Case:
        messages = [draw(rng) for _ in range(rng.randrange(1, _MESSAGES + 1))]
        parts = [[topic, base64.b64encode(payload).decode()] for topic, payload in messages]
        return Case("", json.dumps(parts).encode())

    def judge(case: Case) -> list[str]:
        parts = [(topic, base64.b64decode(raw)) for topic, raw in json.loads(case.payload)]
        return _judge([BrokerMessage(*part, number, now) for number, part in enumerate(parts, 1)])

    return Target("batches", 10, make, judge)


def _messages(now: datetime) -> Callable[[Random], tuple[str, bytes]]:
    telemetry = payloads.telemetry(now)
    answers = payloads.answers(now)
    uplinks = [payloads.uplinks(now, server) for server in NetworkServer]
    topics = list(answers)

    def draw(rng: Random) -> tuple[str, bytes]:
        match rng.randrange(4):
            case 0:
                return rng.choice(uplinks)(rng)
            case 1:
                topic = rng.choice(topics)
                payload = answers[topic].draw(rng)
            case _:
                topic = f"tilt/{rng.choice((payloads.DEVICE, 'b', 'c'))}/telemetry"
                payload = telemetry.draw(rng)
        return payloads.damage_topic(rng, topic) if rng.random() < 0.05 else topic, payload

    return draw


def _judge(messages: list[BrokerMessage]) -> list[str]:
    queue = ScriptedQueue()
    now = messages[0].received_at
    intake = Intake(queue, FakeClock(now), Registry(payloads.registry()))
    accepted = intake.accept(messages)
    require(not accepted.held and not accepted.waiting, "messages are held back")
    require_sendable(queue.sent)
    contents = []
    for one in queue.sent:
        content = decode(arrived(one))
        require_content(content)
        contents.append(content)
    owners = {
        content.delivery_id: _owner(content)
        for content in contents
        if not isinstance(content, Receipt)
    }
    whole = [c for c in contents if not isinstance(c, Receipt | Refusal) or _is_first(c)]
    require(len(whole) == len(owners), "two items have one identity")
    items = accepted.readings + accepted.events + accepted.refusals + accepted.answers
    require(items == len(owners), "items counted that were not sent", items, owners)
    receipts = [content for content in contents if isinstance(content, Receipt)]
    if not owners:
        require(not receipts, "a receipt of nothing")
        return ["about no command"]
    require(len(receipts) == 1, "not one receipt", receipts)
    require(receipts[0].messages == len(messages), "a receipt of other messages")
    require(receipts[0].items == Counter(owners.values()), "a receipt of other items")
    raws = {(message.topic, message.payload) for message in messages}
    for refusal in contents:
        if isinstance(refusal, Refusal) and refusal.parts == 1:
            require((refusal.topic, refusal.raw) in raws, "a refusal of other bytes")
    return [c.reason.value if isinstance(c, Refusal) else ACCEPTED for c in whole]


def _owner(content: DeliveredReading | DeliveredEvent | Refusal | CommandEvent) -> str:
    match content:
        case DeliveredReading():
            return content.reading.device_id
        case Refusal() | CommandEvent():
            return content.device_id
        case DeliveredEvent():
            return content.event.device_id


def _is_first(content: Receipt | Refusal) -> bool:
    return isinstance(content, Refusal) and content.part == 0
