"""Commands to devices: the verbs, what each takes, and the states of a command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

DEFAULT_LIFE = timedelta(hours=24)
"""How long a command waits for its device where the caller does not say."""
MIN_LIFE_S = 1
MAX_LIFE_S = 7 * 86_400


class Verb(StrEnum):
    """What a device can be told."""

    SET_INTERVAL = "set_interval"
    SET_THRESHOLD = "set_threshold"
    ZERO = "zero"
    REBOOT = "reboot"
    REQUEST_READING = "request_reading"
    IDENTIFY = "identify"


class CommandState(StrEnum):
    """Where a command is; only forwards."""

    QUEUED = "queued"
    SENT = "sent"
    """The broker has it."""
    ACKNOWLEDGED = "acknowledged"
    """The device has done it."""
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    """Taken back before anybody had it."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An integer parameter, both bounds included."""

    minimum: int
    maximum: int
    unit: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number, both bounds included."""

    minimum: float
    maximum: float
    unit: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some words."""

    words: tuple[str, ...]
    required: bool = False


ParameterRule = Whole | Number | Choice

_UINT16 = 0xFFFF
_WEEK_S = 604_800
_HALF_TURN_DEG = 180.0

PARAMETERS: Mapping[Verb, Mapping[str, ParameterRule]] = {
    Verb.SET_INTERVAL: {"interval_s": Whole(1, _WEEK_S, "s", required=True)},
    # Either threshold_deg (beyond it in both directions), or min_deg and max_deg.
    Verb.SET_THRESHOLD: {
        "axis": Choice(("x", "y", "z")),
        "threshold_deg": Number(0.0, _HALF_TURN_DEG, "°"),
        "min_deg": Number(-_HALF_TURN_DEG, _HALF_TURN_DEG, "°"),
        "max_deg": Number(-_HALF_TURN_DEG, _HALF_TURN_DEG, "°"),
        "condition": Choice(("disabled", "below", "above", "within", "below_or_above", "mutation")),
        "alarm_interval_s": Whole(0, _UINT16, "s"),
        "alarm_times": Whole(0, _UINT16, "times"),
    },
    Verb.ZERO: {},
    Verb.REBOOT: {},
    Verb.REQUEST_READING: {},
    Verb.IDENTIFY: {"duration_s": Whole(1, 3600, "s")},
}
"""What each verb takes; a sensor may refuse more, because it cannot do it."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command to one device.

    Attributes:
        command_id: Also its deduplication id; a device that gets it twice does it once.
        params: As PARAMETERS says.
        issued_at, expires_at: Aware UTC; after expires_at nobody delivers it any more.
    """

    command_id: UUID
    device_id: str
    verb: Verb
    params: Mapping[str, Any] = field(default_factory=dict)
    issued_at: datetime = field(kw_only=True)
    expires_at: datetime = field(kw_only=True)


def wrong_params(verb: Verb, params: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the parameters, one line each; empty where they are right."""
    rules = PARAMETERS[verb]
    wrong = [f"params.{name}: {verb} does not know it" for name in params if name not in rules]
    for name, rule in rules.items():
        if name not in params:
            if rule.required:
                wrong.append(f"params.{name}: missing")
        elif (problem := _wrong_value(rule, params[name])) is not None:
            wrong.append(f"params.{name}: {problem}")
    if verb is Verb.SET_THRESHOLD and not wrong:
        wrong += _wrong_threshold(params)
    return wrong


def _wrong_value(rule: ParameterRule, value: object) -> str | None:
    match rule:
        case Choice(words):
            good = isinstance(value, str) and value in words
            return None if good else f"one of {', '.join(words)}"
        case Whole(minimum, maximum, unit):
            good = type(value) is int and minimum <= value <= maximum
            return None if good else f"an integer, {minimum} to {maximum} {unit}"
        case Number(low, high, unit):
            number = type(value) in {int, float}
            good = number and low <= value <= high  # type: ignore[operator] # a number; false for NaN
            return None if good else f"a number, {low:g} to {high:g} {unit}"


def _wrong_threshold(params: Mapping[str, Any]) -> list[str]:
    around, within = "threshold_deg" in params, {"min_deg", "max_deg"} & params.keys()
    if around:
        both = within or "condition" in params
        return ["params: either threshold_deg, or min_deg and max_deg"] if both else []
    if len(within) < 2:  # noqa: PLR2004 - both
        return ["params: threshold_deg, or min_deg and max_deg, are missing"]
    if params["min_deg"] > params["max_deg"]:
        return ["params.min_deg: above max_deg"]
    return []
