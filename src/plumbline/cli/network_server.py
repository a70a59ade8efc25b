"""`plumbline network-server`: what a LoRaWAN network server connects with."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from plumbline.cli.output import message, print_json
from plumbline.cli.system import data_dir_option, json_option, require_running
from plumbline.domain.device import NetworkServer
from plumbline.local import network_servers
from plumbline.local.network_servers import Access

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
    """Print the user, the password and the addresses that the network server connects with."""
    endpoints = require_running(data_dir)
    _print(network_servers.show(data_dir, endpoints, NetworkServer(server)), as_json=as_json)


@network_server.command()
@_server_argument
@data_dir_option
@json_option
def rotate(server: str, data_dir: Path, *, as_json: bool) -> None:
    """Give the network server a new password and print it; the old one ends at once."""
    endpoints = require_running(data_dir)
    access = network_servers.rotate(data_dir, endpoints, NetworkServer(server))
    _print(access, as_json=as_json)
    message("the old password is refused from now on: give the network server the new one")


def _print(access: Access, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(access))
    else:
        for name, value in asdict(access).items():
            click.echo(f"{name:<10}{value}")
