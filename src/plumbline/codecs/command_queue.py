"""What travels in the two command queues.

The body of a command is its JSON and nothing else. Beside it, in message attributes:

===================== ======================================================================
``type``              ``command``, or ``withdrawal`` of one that expired at a network server
``device_id``         whose it is; also the group
``attempt``           which attempt to send it this is, from 1
``network_server`` …  of a LoRaWAN device, what the registry knows of it
===================== ======================================================================

A FIFO queue remembers a deduplication id for five minutes: each attempt has its own,
``{command_id}`` and then ``{command_id}.{attempt}``.
"""

from dataclasses import dataclass
from uuid import UUID

from plumbline.codecs.command_json import decode as decode_command
from plumbline.codecs.command_json import encode as encode_command
from plumbline.domain.command import Command
from plumbline.domain.device import DEV_EUI, Lorawan, NetworkServer
from plumbline.domain.reading import is_device_id
from plumbline.errors import InvalidMessage
from plumbline.ports import OutgoingMessage, QueueMessage

COMMAND = "command"
WITHDRAWAL = "withdrawal"

_TYPE, _DEVICE_ID, _ATTEMPT = "type", "device_id", "attempt"
_LORAWAN = (
    "dev_eui",
    "network_server",
    "application",
    "tenant",
    "network_device_id",
    "sensor_model",
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose message this is, as far as it can be told of any message of a command queue."""

    command_id: UUID
    device_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class QueuedCommand:
    """A command to send.

    Attributes:
        lorawan: Of a LoRaWAN device; None for MQTT.
    """

    command: Command
    lorawan: Lorawan | None = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A command to take out of a network server's queue."""

    command_id: UUID
    lorawan: Lorawan


def encode(command: Command, attempt: int, lorawan: Lorawan | None) -> OutgoingMessage:
    """Make the queue message of an attempt to send a command."""
    identity = str(command.command_id)
    return OutgoingMessage(
        encode_command(command),
        attributes=_attributes(COMMAND, command.device_id, lorawan) | {_ATTEMPT: str(attempt)},
        group_id=command.device_id,
        deduplication_id=identity if attempt == 1 else f"{identity}.{attempt}",
    )


def encode_withdrawal(command_id: UUID, device_id: str, lorawan: Lorawan) -> OutgoingMessage:
    """Make the queue message that withdraws a command; it keeps its place among the device's."""
    return OutgoingMessage(
        str(command_id),
        attributes=_attributes(WITHDRAWAL, device_id, lorawan),
        group_id=device_id,
        deduplication_id=f"{command_id}.{WITHDRAWAL}",
    )


def identify(message: QueueMessage) -> Identity:
    """Tell whose message it is, without its body: that may be broken.

    Raises:
        InvalidMessage: It was sent by somebody else.
    """
    attempt = message.attributes.get(_ATTEMPT, "1")
    try:
        command_id = UUID((message.deduplication_id or "").partition(".")[0])
    except ValueError as error:
        msg = "the deduplication id names no command"
        raise InvalidMessage(msg) from error
    if not is_device_id(message.group_id or ""):
        msg = "the group is no device id"
        raise InvalidMessage(msg)
    if not attempt.isascii() or not attempt.isdigit() or len(attempt) > 9:  # noqa: PLR2004 - fits an int4
        msg = "the attempt is no number"
        raise InvalidMessage(msg)
    return Identity(command_id, str(message.group_id), int(attempt))


def decode(message: QueueMessage) -> QueuedCommand | Withdrawal:
    """Decode a message of a command queue.

    Raises:
        InvalidMessage: Not one of ours; the message says what is wrong.
    """
    identity = identify(message)
    kind = message.attributes.get(_TYPE)
    lorawan = _lorawan(message)
    if kind == WITHDRAWAL:
        if lorawan is None:
            msg = "a withdrawal from no network server"
            raise InvalidMessage(msg)
        return Withdrawal(identity.command_id, lorawan)
    if kind != COMMAND:
        msg = f"unknown message type {kind!r}"
        raise InvalidMessage(msg)
    command = decode_command(message.body, identity.device_id)
    if command.command_id != identity.command_id:
        msg = "command_id: not that of the deduplication id"
        raise InvalidMessage(msg)
    return QueuedCommand(command, lorawan)


def _attributes(kind: str, device_id: str, lorawan: Lorawan | None) -> dict[str, str]:
    found = {_TYPE: kind, _DEVICE_ID: device_id}
    if lorawan is not None:
        # An attribute of a queue cannot be empty.
        found |= {name: value for name in _LORAWAN if (value := getattr(lorawan, name))}
    return found


def _lorawan(message: QueueMessage) -> Lorawan | None:
    given = {name: value for name in _LORAWAN if (value := message.attributes.get(name))}
    if not given:
        return None
    missing = {"dev_eui", "network_server", "application", "sensor_model"} - given.keys()
    if missing:
        msg = f"the registry does not say the device's {', '.join(sorted(missing))}"
        raise InvalidMessage(msg)
    server = given["network_server"]
    if server not in set(NetworkServer) or not DEV_EUI.fullmatch(given["dev_eui"]):
        msg = "no such network server, or no DevEUI"
        raise InvalidMessage(msg)
    if server == NetworkServer.THINGS_STACK and "network_device_id" not in given:
        msg = "the registry does not say the device's network_device_id"
        raise InvalidMessage(msg)
    return Lorawan(
        dev_eui=given["dev_eui"],
        network_server=NetworkServer(server),
        application=given["application"],
        tenant=given.get("tenant"),
        network_device_id=given.get("network_device_id"),
        sensor_model=given["sensor_model"],
    )
