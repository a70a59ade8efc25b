"""`plumbline device`: who may connect to the broker."""

import os
from pathlib import Path
from typing import Any

import click

from plumbline import bootstrap
from plumbline.application.devices import Devices, NewPassword
from plumbline.cli.output import message, print_json, print_table
from plumbline.cli.system import data_dir_option, database_url, json_option
from plumbline.domain.device import Protocol
from plumbline.local.device_credentials import devices_of
from plumbline.ports import RegisteredDevice


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
@data_dir_option
@json_option
def add(device_id: str, name: str, protocol: str, data_dir: Path, *, as_json: bool) -> None:
    """Add DEVICE_ID and print its password, once."""
    new = _devices(data_dir).add(device_id, name=name, protocol=Protocol(protocol))
    if new is None:
        message(f"added {device_id}; its network server connects for it")
    else:
        _print_password(new, as_json=as_json)


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
    else:
        print_table(["field", "value"], found.items())


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
    """Let DEVICE_ID connect no more; its readings stay."""
    _devices(data_dir).disable(device_id)
    message(f"{device_id} is disabled")


@device.command()
@click.argument("device_id")
@data_dir_option
def enable(device_id: str, data_dir: Path) -> None:
    """Let DEVICE_ID connect again, with the password that it had."""
    _devices(data_dir).enable(device_id)
    message(f"{device_id} is enabled")


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
    }
    if one.status is not None:
        found |= {
            "current_status": one.status.current_status,
            "last_seen": one.status.last_seen,
            "tilt_angle": one.status.tilt_angle_deg,
            "battery_level": one.status.battery_level_pct,
        }
    return found
