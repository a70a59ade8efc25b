"""From a message of a command queue to what is published for it."""

from datetime import datetime
from typing import NamedTuple

from plumbline.codecs import chirpstack_downlink, things_stack_downlink
from plumbline.codecs.command_json import encode as encode_json
from plumbline.codecs.command_queue import QueuedCommand, Withdrawal
from plumbline.codecs.sensors.registry import encode as encode_for_sensor
from plumbline.codecs.telemetry import ACKNOWLEDGEMENT_TOPIC, COMMAND_TOPIC
from plumbline.domain.command import Command
from plumbline.domain.device import NetworkServer
from plumbline.domain.publication import Publication
from plumbline.errors import UnsupportedCommand

_ENCODERS = {
    NetworkServer.CHIRPSTACK: chirpstack_downlink.encode_downlink,
    NetworkServer.THINGS_STACK: things_stack_downlink.encode_downlink,
}


class Encoded(NamedTuple):
    """What is published for a command, and whether the device will answer."""

    publication: Publication
    confirmed: bool


def encode_for_mqtt(content: QueuedCommand | Withdrawal, now: datetime) -> Encoded:
    """Encode for a device that is a client of the broker.

    Raises:
        UnsupportedCommand: It is for a network server.
    """
    if isinstance(content, Withdrawal) or content.lorawan is not None:
        msg = "a LoRaWAN device's command in the queue of MQTT devices"
        raise UnsupportedCommand(msg)
    command = content.command
    publication = Publication(
        COMMAND_TOPIC.format(device_id=command.device_id),
        encode_json(command).encode(),
        expiry_s(command, now),
        response_topic=ACKNOWLEDGEMENT_TOPIC.format(device_id=command.device_id),
        correlation=str(command.command_id).encode(),
    )
    return Encoded(publication, confirmed=True)


def encode_for_lorawan(content: QueuedCommand | Withdrawal, now: datetime) -> Encoded:
    """Encode for the device's network server, in the bytes of the device's sensor model.

    Raises:
        UnsupportedCommand: The model has no such command, or not with these parameters.
        InvalidMessage: The registry holds a name that cannot stand in a topic.
    """
    if isinstance(content, Withdrawal):
        withdrawal = Publication(*things_stack_downlink.encode_withdrawal(content.lorawan))
        return Encoded(withdrawal, confirmed=False)
    command, lorawan = content.command, content.lorawan
    if lorawan is None:
        msg = "the registry does not say how the device is reached"
        raise UnsupportedCommand(msg)
    downlink = encode_for_sensor(lorawan.sensor_model, command.verb, command.params)
    encode = _ENCODERS[lorawan.network_server]
    topic, payload = encode(command, lorawan, downlink)
    return Encoded(Publication(topic, payload, expiry_s(command, now)), downlink.confirmed)


def expiry_s(command: Command, now: datetime) -> int:
    """Return for how many seconds the broker may keep the command, at least 1.

    One less than there are: Mosquitto counts whole seconds of its clock, and would deliver up to
    one second too late.
    """
    return max(1, int((command.expires_at - now).total_seconds()) - 1)
