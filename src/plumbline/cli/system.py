"""Finds the running system: its data directory, or the URLs in the environment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from plumbline.aws_settings import urls_from_hosts
from plumbline.errors import ConfigurationError
from plumbline.local.endpoints import Endpoints, read_endpoints

_F = TypeVar("_F", bound=Callable[..., Any])


def data_dir_option(function: _F) -> _F:
    """Let `--data-dir` stand behind the sub-command too."""
    return click.option(
        "--data-dir",
        "data_dir",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda ctx, _parameter, value: value or ctx.find_root().obj,
        help="Where the system on this machine keeps everything.",
    )(function)


def json_option(function: _F) -> _F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def require_running(data_dir: Path) -> Endpoints:
    """Return the endpoints of the system running in the data directory.

    Raises:
        ConfigurationError: Nothing runs there.
    """
    endpoints = read_endpoints(data_dir)
    if endpoints is None:
        msg = f"nothing runs in {data_dir}: start it with `plumbline up`, or name --data-dir"
        raise ConfigurationError(msg)
    return endpoints


def database_url(data_dir: Path) -> str:
    """Return the database of the running system, or of DATABASE_URL or DATABASE_HOST.

    Raises:
        ConfigurationError: Nothing runs there, and neither is set.
    """
    return given_url("DATABASE_URL") or require_running(data_dir).database_url


def given_url(name: str) -> str | None:
    """Return a URL that the environment has, or that its host settings stand for.

    Raises:
        ConfigurationError: Both are given, or a part of them.
    """
    return urls_from_hosts(os.environ).get(name) or os.environ.get(name)
