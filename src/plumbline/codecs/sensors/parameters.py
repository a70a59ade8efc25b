"""Checks of a command's parameters before they become bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.errors import UnsupportedCommand


def unsupported(model: str, command: str, commands: Sequence[str]) -> UnsupportedCommand:
    """Return the error of a verb that the model's documentation does not define."""
    known = ", ".join(commands) or "none"
    return UnsupportedCommand(f"{model} has no command {command}; it has: {known}")


def require_only(params: Mapping[str, Any], *names: str) -> None:
    """Refuse parameters that would be ignored.

    Raises:
        UnsupportedCommand: As said.
    """
    others = sorted(set(params) - set(names))
    if others:
        known = ", ".join(names) or "none"
        msg = f"unknown parameter {', '.join(others)}; known: {known}"
        raise UnsupportedCommand(msg)


def whole(
    params: Mapping[str, Any], name: str, minimum: int, maximum: int, default: int | None = None
) -> int:
    """Return a whole number within the limits, the default where it is absent.

    Raises:
        UnsupportedCommand: Missing without a default, not a whole number, or beyond the limits.
    """
    value = params.get(name, default)
    if type(value) is not int or not minimum <= value <= maximum:
        msg = f"{name}: a whole number, {minimum} to {maximum}"
        raise UnsupportedCommand(msg)
    return value


def steps(  # noqa: PLR0913 - a parameter, its limits, its resolution and its default
    params: Mapping[str, Any],
    name: str,
    minimum: float,
    maximum: float,
    *,
    per_unit: int,
    default: float | None = None,
) -> int:
    """Return a number in the device's steps: ``value * per_unit``, rounded.

    Raises:
        UnsupportedCommand: Missing without a default, not a number, or beyond the limits.
    """
    value = params.get(name, default)
    if type(value) not in (int, float) or not minimum <= value <= maximum:  # false for NaN
        msg = f"{name}: a number, {minimum} to {maximum}"
        raise UnsupportedCommand(msg)
    scaled: int = round(value * per_unit)
    return scaled


def choice(params: Mapping[str, Any], name: str, values: Mapping[str, int], default: str) -> int:
    """Return the code of a named value.

    Raises:
        UnsupportedCommand: Not one of the names.
    """
    value = params.get(name, default)
    if type(value) is not str or value not in values:
        msg = f"{name}: one of {', '.join(values)}"
        raise UnsupportedCommand(msg)
    return values[value]
