"""`plumbline package`: what Terraform deploys."""

from dataclasses import asdict
from pathlib import Path

import click

from plumbline.cli.output import message, print_json
from plumbline.cli.system import json_option
from plumbline.deployment.broker_context import broker_target, build_broker_context
from plumbline.deployment.checkout import find_checkout
from plumbline.deployment.lambda_archive import PYTHONS, build_lambda_archive, lambda_target
from plumbline.deployment.portal_bundle import build_portal_bundle, portal_target
from plumbline.deployment.wheels import ARCHITECTURES


@click.group()
def package() -> None:
    """Build what Terraform deploys; the same checkout and Python give the same bytes."""


_OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Directory to write to.",
)
_ARCHITECTURE = click.option(
    "--architecture",
    type=click.Choice(ARCHITECTURES),
    default="x86_64",
    show_default=True,
    help="Of the machine that it will run on.",
)
_PYTHON = click.option(
    "--python",
    type=click.Choice(PYTHONS),
    default="3.12",
    show_default=True,
    help="Version of Python that it will run on.",
)
_DATABASE_CA = click.option(
    "--database-ca",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Certificate authorities of RDS (its `global-bundle.pem`), to be packed too.",
)


@package.command()
@_OUT
@_PYTHON
@_ARCHITECTURE
@_DATABASE_CA
@json_option
def lambdas(
    out: Path, python: str, architecture: str, database_ca: Path | None, *, as_json: bool
) -> None:
    """Build the archive of all functions, `lambdas.zip`, and its description, `lambdas.json`."""
    built = build_lambda_archive(
        find_checkout(),
        out,
        lambda_target(python, architecture),
        database_ca=database_ca,
        say=message,
    )
    if as_json:
        print_json(asdict(built))
        return
    click.echo(f"archive   {out / built.archive}")
    click.echo(f"sha256    {built.sha256}")
    click.echo(f"runtime   {built.runtime} on {built.architecture}")
    click.echo(f"size      {_mib(built.archive_bytes)}, unpacked {_mib(built.unpacked_bytes)}")


@package.command()
@_OUT
@_PYTHON
@_ARCHITECTURE
@_DATABASE_CA
@json_option
def portal(
    out: Path, python: str, architecture: str, database_ca: Path | None, *, as_json: bool
) -> None:
    """Build the portal's bundle, `portal.tar`, its checksum and its description, `portal.json`."""
    built = build_portal_bundle(
        find_checkout(),
        out,
        portal_target(python, architecture),
        database_ca=database_ca,
        say=message,
    )
    if as_json:
        print_json(asdict(built))
        return
    click.echo(f"archive   {out / built.archive}")
    click.echo(f"sha256    {built.sha256}")
    click.echo(f"python    {built.python} on {built.architecture}")
    click.echo(f"size      {_mib(built.archive_bytes)}")


@package.command()
@_OUT
@click.option(
    "--python",
    type=click.Choice(PYTHONS),
    default="3.13",
    show_default=True,
    help="Version of Python in the image's base.",
)
@_ARCHITECTURE
def broker(out: Path, python: str, architecture: str) -> None:
    """Build what the broker's image is built from, the directory `broker`."""
    context = build_broker_context(
        find_checkout(), out, broker_target(python, architecture), say=message
    )
    click.echo(f"context   {context}")
    message(f"docker build --tag plumbline-broker {context}")


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
