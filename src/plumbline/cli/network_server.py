"""`plumbline network-server`: what a LoRaWAN network server connects with."""

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from plumbline import bootstrap
from plumbline.adapters.mqtt.configuration import NETWORK_SERVER_USERS
from plumbline.cli.output import message, print_json
from plumbline.cli.system import data_dir_option, json_option, require_running
from plumbline.domain.device import NetworkServer
from plumbline.local import network_servers

_F = TypeVar("_F", bound=Callable[..., Any])


def _server_argument(function: _F) -> _F:
    names = [server.value for server in NetworkServer]
    return click.argument("server", metavar="|".join(names), type=click.Choice(names))(function)


@click.group("network-server")
def network_server() -> None:
    """LoRaWAN network servers and their credentials at the broker."""


@network_server.command()
@_server_argument
@data_dir_option
@json_option
def show(server: str, data_dir: Path, *, as_json: bool) -> None:
    """Print the user, the password and the addresses that the network server connects with.

    Of a deployment on AWS only the user, and whether it has a password: there it is shown once, by
    `rotate`.
    """
    shared = os.environ.get("BROKER_PASSWORDS")
    if shared:
        user = NETWORK_SERVER_USERS[NetworkServer(server)]
        found = bootstrap.shared_credentials(shared).fetch(None)
        known = found is not None and user in found.hashes
        _print({"username": user, "has_password": known}, as_json=as_json)
        return
    endpoints = require_running(data_dir)
    access = network_servers.show(data_dir, endpoints, NetworkServer(server))
    _print(asdict(access), as_json=as_json)


@network_server.command()
@_server_argument
@data_dir_option
@json_option
def rotate(server: str, data_dir: Path, *, as_json: bool) -> None:
    """Give the network server a new password and print it; the old one ends at once."""
    shared = os.environ.get("BROKER_PASSWORDS")
    if shared:
        password = bootstrap.shared_credentials(shared).renew(NetworkServer(server))
        user = NETWORK_SERVER_USERS[NetworkServer(server)]
        _print({"username": user, "password": password}, as_json=as_json)
    else:
        endpoints = require_running(data_dir)
        access = network_servers.rotate(data_dir, endpoints, NetworkServer(server))
        _print(asdict(access), as_json=as_json)
    message("the old password is refused from now on: give the network server the new one")


def _print(access: Mapping[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(access)
    else:
        width = max(map(len, access)) + 1
        for name, value in access.items():
            click.echo(f"{name:<{width}}{value}")
