"""Everything that reads what comes from outside, each with what is thrown at it and its judge."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from random import Random
from uuid import UUID

import msgspec

from plumbline.codecs.command_answer import decode_answer
from plumbline.codecs.sensors.registry import models
from plumbline.codecs.strict_json import parse
from plumbline.codecs.telemetry import decode_message
from plumbline.domain.command_event import Arrival, CommandEvent
from plumbline.domain.delivery import DeliveredReading
from plumbline.domain.device import NetworkServer
from plumbline.domain.reading import Reading
from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload
from proofs.fuzz import payloads
from proofs.fuzz.batches import batches
from proofs.fuzz.oracle import (
    ACCEPTED,
    outcomes,
    refused,
    require,
    require_content,
    require_elements,
    require_round_trip,
)
from proofs.fuzz.queue_targets import queued
from proofs.fuzz.target import Case, Target
from proofs.fuzz.uplink_targets import frames_of, uplinks_of

NOW = datetime(2026, 1, 18, 10, 30, tzinfo=UTC)

_IDENTITY = UUID("0194790b-0000-0000-0000-000000000007")
_LONGEST_NUMBER = 300
_DIGITS_ONLY = bytes(byte if byte in b"0123456789" else 32 for byte in range(256))


@cache
def targets() -> Mapping[str, Target]:
    """Return all targets by name."""
    telemetry = payloads.telemetry(NOW)
    answers = payloads.answers(NOW)
    topics = list(answers)

    def answer(rng: Random) -> Case:
        topic = rng.choice(topics)
        return Case(topic, answers[topic].draw(rng))

    found = [
        Target("JSON", 8, lambda rng: Case("", telemetry.draw(rng)), _judge_json),
        Target("telemetry", 20, lambda rng: Case("", telemetry.draw(rng)), _judge_telemetry),
        Target("command answers", 8, answer, _judge_answer),
        *(uplinks_of(server, NOW) for server in NetworkServer),
        *(frames_of(model, NOW) for model in models()),
        *queued(NOW),
        batches(NOW),
    ]
    return {target.name: target for target in found}


def _judge_json(case: Case) -> list[str]:
    """Hold the reader against one that somebody else wrote."""
    try:
        parse(case.payload, None)
    except InvalidPayload as refusal:
        word = refused(refusal)
        if refusal.reason is Reason.INVALID_JSON and "digits" not in refusal.detail:
            require(not _others_accept(case.payload), "refused good JSON", refusal.detail)
        return [word]
    # Python has lone surrogates, and integers as long as they come; both have their own check.
    if b"\\u" not in case.payload.lower() and not _others_accept(case.payload):
        require(_has_long_number(case.payload), "accepted what is no JSON")
    return [ACCEPTED]


def _others_accept(payload: bytes) -> bool:
    try:
        msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _has_long_number(payload: bytes) -> bool:
    longest = max(map(len, payload.replace(b".", b"").translate(_DIGITS_ONLY).split()), default=0)
    return longest > _LONGEST_NUMBER


def _judge_telemetry(case: Case) -> list[str]:
    try:
        results = decode_message(f"tilt/{payloads.DEVICE}/telemetry", case.payload, NOW)
    except InvalidPayload as refusal:
        return [refused(refusal)]
    found = outcomes(results, NOW)
    require_elements(case.payload, results)
    for reading in results:
        if isinstance(reading, Reading):
            require(
                reading.device_id == payloads.DEVICE,
                "a reading of another device",
                reading.device_id,
            )
            require_round_trip(DeliveredReading(reading, _IDENTITY, NOW))
    return found


def _judge_answer(case: Case) -> list[str]:
    try:
        answer = decode_answer(case.beside, case.payload)
    except InvalidPayload as refusal:
        return [refused(refusal)]
    if answer is None:
        return ["about no command"]
    require(answer.detail.isprintable() and len(answer.detail) <= 300, "a detail of many lines")
    arrival = Arrival(_IDENTITY, case.beside, case.payload, NOW, answer.sender)
    event = CommandEvent(
        answer.command_id,
        payloads.DEVICE,
        answer.kind,
        answer.occurred_at or NOW,
        detail=answer.detail,
        arrival=arrival,
    )
    require_content(event)
    require_round_trip(event)
    return [ACCEPTED]
