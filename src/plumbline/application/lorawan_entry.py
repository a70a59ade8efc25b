"""What an operator says of a LoRaWAN device, checked and completed."""

import re
from dataclasses import replace

from plumbline.codecs.sensors.registry import models
from plumbline.domain.device import DEV_EUI, Lorawan, NetworkServer
from plumbline.errors import ConfigurationError

DEFAULT_TENANT = "ttn"
"""Of The Things Network, and of most deployments that have but one."""

_SEPARATORS = str.maketrans("", "", ":-. ")
# One level of an MQTT topic, as both network servers make their ids.
_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
_MAX_INTERVAL_S = 31 * 86_400


def complete(entry: Lorawan, *, without_codec: bool = False) -> Lorawan:
    """Return the entry as the registry keeps it.

    The DevEUI may be written in any case, with ``:``, ``-``, ``.`` or blanks between its digits.
    At The Things Stack, a tenant of None is DEFAULT_TENANT, and a device id of None is the one
    that its console gives: ``eui-`` and the DevEUI.

    Args:
        entry: As given.
        without_codec: Accept a sensor model for which no codec is installed.

    Raises:
        ConfigurationError: One of the values is wrong; the message names it.
    """
    dev_eui = entry.dev_eui.translate(_SEPARATORS).lower()
    if not DEV_EUI.fullmatch(dev_eui):
        _refuse("dev-eui", f"{entry.dev_eui!r} is not 16 hexadecimal digits")
    if not without_codec and entry.sensor_model not in models():
        _refuse(
            "sensor-model",
            f"no codec for {entry.sensor_model!r}; `plumbline decode --models` lists them",
        )
    if entry.uplink_interval_s is not None and not 1 <= entry.uplink_interval_s <= _MAX_INTERVAL_S:
        _refuse("uplink-interval", "1 s to 31 days")
    _require_id("application", entry.application)
    _require_id("sensor-model", entry.sensor_model)
    if entry.network_server is NetworkServer.CHIRPSTACK:
        if entry.tenant is not None or entry.network_device_id is not None:
            _refuse("tenant, network-device-id", "ChirpStack has none in its topics")
        return replace(entry, dev_eui=dev_eui)
    tenant = DEFAULT_TENANT if entry.tenant is None else entry.tenant
    if tenant:
        _require_id("tenant", tenant)
    device_id = entry.network_device_id or f"eui-{dev_eui}"
    _require_id("network-device-id", device_id)
    return replace(entry, dev_eui=dev_eui, tenant=tenant, network_device_id=device_id)


def _require_id(option: str, value: str) -> None:
    if not _ID.fullmatch(value):
        _refuse(option, f"{value!r} is not 1 to 100 of A-Z a-z 0-9 _ . -")


def _refuse(option: str, rule: str) -> None:
    msg = f"{option}: {rule}"
    raise ConfigurationError(msg)
