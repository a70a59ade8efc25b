"""Checks that every codec makes before it believes a frame."""

from typing import NoReturn

from plumbline.domain.reason import Reason
from plumbline.errors import InvalidPayload

_APPLICATION_PORTS = range(1, 224)


def refuse(detail: str) -> NoReturn:
    """Refuse a frame that is none of the model.

    Raises:
        InvalidPayload: INVALID_FRAME with the detail.
    """
    raise InvalidPayload(Reason.INVALID_FRAME, detail)


def require_frame(payload: bytes, f_port: int, *ports: int) -> None:
    """Refuse an empty payload, and a port that is none of the model's (none given: any).

    Raises:
        InvalidPayload: As said.
    """
    if not payload:
        raise InvalidPayload(Reason.EMPTY_PAYLOAD)
    if f_port not in (ports or _APPLICATION_PORTS):
        expected = ", ".join(map(str, ports)) or "1 to 223"
        refuse(f"port {f_port}, expected {expected}")


def require_length(payload: bytes, *lengths: int) -> None:
    """Refuse a frame that is shorter or longer than the layout.

    Raises:
        InvalidPayload: As said.
    """
    if len(payload) not in lengths:
        expected = " or ".join(map(str, lengths))
        refuse(f"{len(payload)} bytes, expected {expected}")


def require_within(name: str, value: float, minimum: float, maximum: float) -> None:
    """Refuse a value that the sensor cannot have measured: the bytes mean something else.

    Raises:
        InvalidPayload: As said.
    """
    if not minimum <= value <= maximum:
        refuse(f"{name} of {value}, possible {minimum} to {maximum}")


def one_of(name: str, value: int, names: dict[int, str]) -> str:
    """Return the name of a code.

    Raises:
        InvalidPayload: The layout does not define the code.
    """
    if value not in names:
        refuse(f"{name} {value:#04x} is not defined")
    return names[value]
