"""`plumbline device`: who may send readings."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from plumbline import bootstrap
from plumbline.application.devices import Devices, NewPassword
from plumbline.application.lorawan_entry import complete
from plumbline.cli.duration import Duration
from plumbline.cli.output import message, print_json, print_table
from plumbline.cli.system import data_dir_option, database_url, json_option
from plumbline.domain.device import DeviceClass, Lorawan, NetworkServer, Protocol
from plumbline.local.device_credentials import devices_of
from plumbline.ports import RegisteredDevice

_F = TypeVar("_F", bound=Callable[..., Any])
_LORAWAN = "lorawan"
_REQUIRED = ("dev_eui", "network_server", "application", "sensor_model")


def _lorawan_options(function: _F) -> _F:
    """Add the options that say what a LoRaWAN device is known by."""
    options = [
        click.option("--dev-eui", help="LoRaWAN: its DevEUI, 16 hexadecimal digits."),
        click.option(
            "--network-server",
            type=click.Choice([server.value for server in NetworkServer]),
            help="LoRaWAN: where it is registered.",
        ),
        click.option(
            "--application",
            help="LoRaWAN: the application there: ChirpStack's UUID, The Things Stack's id.",
        ),
        click.option(
            "--tenant",
            help="The Things Stack: the tenant; `ttn` where absent, empty for none.",
        ),
        click.option(
            "--network-device-id",
            help="The Things Stack: its id of the device; `eui-` and the DevEUI where absent.",
        ),
        click.option("--sensor-model", help="LoRaWAN: the sensor, such as milesight-em310-tilt."),
        click.option(
            "--uplink-interval",
            "uplink_interval_s",
            type=Duration(1.0),
            help="LoRaWAN: how often it is expected to send.",
        ),
        click.option(
            "--device-class",
            type=click.Choice([name.value for name in DeviceClass]),
            help="LoRaWAN: A listens after its own uplinks (as if absent), C always.",
        ),
        click.option(
            "--without-codec",
            is_flag=True,
            help="LoRaWAN: the model's codec comes later; until then its uplinks are quarantined.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@click.group()
def device() -> None:
    """Devices and their credentials at the broker; changes take effect at once."""


@device.command()
@click.argument("device_id")
@click.option("--name", default="", help="For people.")
@click.option(
    "--protocol",
    type=click.Choice([p.value for p in Protocol]),
    default="mqtt",
    show_default=True,
    help="How it reaches the broker.",
)
@_lorawan_options
@data_dir_option
@json_option
def add(  # noqa: PLR0913 - one parameter an option
    device_id: str,
    name: str,
    protocol: str,
    data_dir: Path,
    *,
    without_codec: bool,
    as_json: bool,
    **lorawan: Any,  # noqa: ANN401 - of each option's own type
) -> None:
    """Add DEVICE_ID; print an MQTT device's password, once.

    A LoRaWAN device has none: its network server connects for it. It needs --dev-eui,
    --network-server, --application and --sensor-model.
    """
    given = {option: value for option, value in lorawan.items() if value is not None}
    if protocol != _LORAWAN:
        if given or without_codec:
            msg = f"{_options(given) or '--without-codec'}: only with --protocol lorawan"
            raise click.UsageError(msg)
        _print_password(_devices(data_dir).add(device_id, name=name), as_json=as_json)
        return
    missing = [option for option in _REQUIRED if option not in given]
    if missing:
        msg = f"a LoRaWAN device needs {_options(missing)}"
        raise click.UsageError(msg)
    entry = complete(_entry(given), without_codec=without_codec)
    _devices(data_dir).add_lorawan({device_id: entry}, name=name)
    if as_json:
        print_json({"device_id": device_id, _LORAWAN: asdict(entry)})
    else:
        message(f"added {device_id}; its uplinks are read from now on")


@device.command()
@click.argument("device_id")
@_lorawan_options
@data_dir_option
def change(
    device_id: str,
    data_dir: Path,
    *,
    without_codec: bool,
    **lorawan: Any,  # noqa: ANN401 - of each option's own type
) -> None:
    """Change what LoRaWAN device DEVICE_ID is known by, as after its sensor was replaced.

    Takes effect within 30 seconds. What is not given stays, but that a new network server needs
    its application, and a new DevEUI makes The Things Stack's default id anew.
    """
    devices = _devices(data_dir)
    present = devices.show(device_id).device.lorawan
    if present is None:
        msg = f"{device_id} is an MQTT device"
        raise click.UsageError(msg)
    given = {option: value for option, value in lorawan.items() if value is not None}
    if "network_server" in given and "application" not in given:
        msg = "--network-server: needs --application"
        raise click.UsageError(msg)
    if "network_server" in given:
        present = replace(present, tenant=None, network_device_id=None)
    elif present.network_device_id == f"eui-{present.dev_eui}":
        present = replace(present, network_device_id=None)
    same_model = "sensor_model" not in given
    entry = complete(_entry(asdict(present) | given), without_codec=without_codec or same_model)
    devices.add_lorawan({device_id: entry}, replace=True)
    message(f"{device_id} is changed")


@device.command("list")
@data_dir_option
@json_option
def list_(data_dir: Path, *, as_json: bool) -> None:
    """Print all devices with their newest reading."""
    found = _devices(data_dir).list()
    if as_json:
        print_json([_as_dict(one) for one in found])
        return
    print_table(
        ["device", "name", "protocol", "enabled", "status", "tilt °", "battery %", "last seen"],
        [
            (
                one.device.device_id,
                one.device.name,
                one.device.protocol.value,
                "no" if one.device.disabled_at else "yes",
                one.status and one.status.current_status,
                one.status and one.status.tilt_angle_deg,
                one.status and one.status.battery_level_pct,
                one.status and one.status.last_seen,
            )
            for one in found
        ],
    )


@device.command()
@click.argument("device_id")
@data_dir_option
@json_option
def show(device_id: str, data_dir: Path, *, as_json: bool) -> None:
    """Print one device."""
    found = _as_dict(_devices(data_dir).show(device_id))
    if as_json:
        print_json(found)
        return
    lorawan = found.pop(_LORAWAN)
    print_table(["field", "value"], [*found.items(), *(lorawan or {}).items()])


@device.command()
@click.argument("device_id")
@data_dir_option
@json_option
def rotate(device_id: str, data_dir: Path, *, as_json: bool) -> None:
    """Give DEVICE_ID a new password and print it, once; the old one ends at once."""
    _print_password(_devices(data_dir).rotate(device_id), as_json=as_json)


@device.command()
@click.argument("device_id")
@data_dir_option
def disable(device_id: str, data_dir: Path) -> None:
    """Let DEVICE_ID send no more; its readings stay.

    An MQTT device connects no more. The uplinks of a LoRaWAN device are quarantined, within 30
    seconds.
    """
    _devices(data_dir).disable(device_id)
    message(f"{device_id} is disabled")


@device.command()
@click.argument("device_id")
@data_dir_option
def enable(device_id: str, data_dir: Path) -> None:
    """Let DEVICE_ID send again, with the password that it had."""
    _devices(data_dir).enable(device_id)
    message(f"{device_id} is enabled")


@device.command()
@click.argument("device_id")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="At most so many."
)
@data_dir_option
@json_option
def events(device_id: str, limit: int, data_dir: Path, *, as_json: bool) -> None:
    """Print what LoRaWAN device DEVICE_ID said that is no reading, newest first.

    Frames without an angle: start-up, status, settings, answers to commands.
    """
    found = bootstrap.device_events(database_url(data_dir)).newest(device_id, limit)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    print_table(
        ["observed", "status", "what", "says"],
        [
            (one.observed_at, one.status, one.detail, json.dumps(one.fields.get("sensor", {})))
            for one in found
        ],
    )


@device.command()
@data_dir_option
def publish(data_dir: Path) -> None:
    """Tell the broker again who may connect, as after a restore of the database."""
    _devices(data_dir).publish()
    message("the broker knows all devices")


def _devices(data_dir: Path) -> Devices:
    url = database_url(data_dir)
    shared = os.environ.get("BROKER_PASSWORDS")
    if shared:
        return bootstrap.devices(url, bootstrap.shared_credentials(shared))
    return devices_of(data_dir, url)


def _entry(given: dict[str, Any]) -> Lorawan:
    interval_s = given.get("uplink_interval_s")
    return Lorawan(
        **given
        | {
            "network_server": NetworkServer(given["network_server"]),
            "device_class": DeviceClass(given.get("device_class", DeviceClass.A)),
            "uplink_interval_s": None if interval_s is None else round(interval_s),
        }
    )


def _options(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.removesuffix('_s').replace('_', '-')}" for name in names)


def _print_password(new: NewPassword, *, as_json: bool) -> None:
    if as_json:
        print_json({"username": new.username, "password": new.password})
    else:
        click.echo(f"username  {new.username}")
        click.echo(f"password  {new.password}")
        message("the password is shown this once; `plumbline device rotate` makes another")


def _as_dict(one: RegisteredDevice) -> dict[str, Any]:
    found: dict[str, Any] = {
        "device_id": one.device.device_id,
        "name": one.device.name,
        "protocol": one.device.protocol.value,
        "created_at": one.device.created_at,
        "rotated_at": one.device.rotated_at,
        "disabled_at": one.device.disabled_at,
        _LORAWAN: None if one.device.lorawan is None else asdict(one.device.lorawan),
    }
    if one.status is not None:
        found |= {
            "current_status": one.status.current_status,
            "last_seen": one.status.last_seen,
            "tilt_angle": one.status.tilt_angle_deg,
            "battery_level": one.status.battery_level_pct,
        }
    return found
