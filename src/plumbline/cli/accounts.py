"""`plumbline user` and `plumbline token`: who may use the portal."""

import getpass
import os
import sys
from pathlib import Path

import click

from plumbline import bootstrap
from plumbline.application.accounts import Accounts
from plumbline.cli.duration import Duration
from plumbline.cli.output import message, print_json, print_table
from plumbline.cli.system import (
    data_dir_option,
    database_url,
    given_url,
    json_option,
    require_running,
)
from plumbline.domain.account import MAX_PASSWORD_LENGTH, ApiToken, Role, Scope, User
from plumbline.errors import PermanentError

_DEFAULT_TOKEN_LIFETIME_S = 90 * 86_400.0
_password_stdin = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, one line."
)


@click.group()
def user() -> None:
    """Users of the portal; changes take effect at once."""


@user.command()
@click.argument("username")
@click.option("--role", type=click.Choice([str(role) for role in Role]), default="viewer")
@_password_stdin
@data_dir_option
def add(username: str, role: str, data_dir: Path, *, password_stdin: bool) -> None:
    """Add USERNAME; asks for the password."""
    _accounts(data_dir).add(username, _password(stdin=password_stdin), Role(role))
    message(f"added {username.lower()}, {role}")


@user.command("list")
@data_dir_option
@json_option
def list_users(data_dir: Path, *, as_json: bool) -> None:
    """Print all users."""
    found = _accounts(data_dir).users()
    if as_json:
        print_json([_user(one) for one in found])
        return
    print_table(
        ["user", "role", "enabled", "added", "password of"],
        [
            (
                one.username,
                one.role,
                "no" if one.disabled_at else "yes",
                one.created_at,
                one.password_changed_at,
            )
            for one in found
        ],
    )


@user.command()
@click.argument("username")
@click.argument("new_role", metavar="ROLE", type=click.Choice([str(role) for role in Role]))
@data_dir_option
def role(username: str, new_role: str, data_dir: Path) -> None:
    """Give USERNAME another ROLE and end its sessions; API tokens act with it, too."""
    _warn(at_once=_accounts(data_dir).set_role(username, Role(new_role)))
    message(f"{username.lower()} is {new_role}")


@user.command()
@click.argument("username")
@data_dir_option
def disable(username: str, data_dir: Path) -> None:
    """End USERNAME's sessions and let nobody in by that name or its API tokens."""
    _warn(at_once=_accounts(data_dir).disable(username))
    message(f"{username.lower()} is disabled")


@user.command()
@click.argument("username")
@data_dir_option
def enable(username: str, data_dir: Path) -> None:
    """Let USERNAME in again, with the password and the API tokens that it had."""
    _accounts(data_dir).enable(username)
    message(f"{username.lower()} is enabled")


@user.command()
@click.argument("username")
@_password_stdin
@data_dir_option
def passwd(username: str, data_dir: Path, *, password_stdin: bool) -> None:
    """Give USERNAME another password and end its sessions; API tokens stay."""
    _warn(at_once=_accounts(data_dir).set_password(username, _password(stdin=password_stdin)))
    message(f"{username.lower()} has a new password")


@click.group()
def token() -> None:
    """API tokens, for programs: each acts as its user, within its scopes."""


@token.command("add")
@click.argument("username")
@click.option("--name", default="", help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([str(scope) for scope in Scope]),
    multiple=True,
    default=["read"],
    show_default=True,
    help="May be given twice; write is for what changes something.",
)
@click.option(
    "--expires-in",
    "lifetime_s",
    type=Duration(),
    default=_DEFAULT_TOKEN_LIFETIME_S,
    help="Such as 24h; 90 days where it is not given.",
)
@data_dir_option
@json_option
def add_token(  # noqa: PLR0913 - one argument an option
    username: str,
    name: str,
    scopes: tuple[str, ...],
    lifetime_s: float,
    data_dir: Path,
    *,
    as_json: bool,
) -> None:
    """Make an API token that acts as USERNAME, and print it, once."""
    new = _accounts(data_dir).add_token(
        username, name, [Scope(scope) for scope in scopes], lifetime_s
    )
    if as_json:
        print_json({**_token(new.token), "token": new.secret})
        return
    click.echo(new.secret)
    message(f"token {new.token.token_id}, shown this once; send it as `Authorization: Bearer …`")


@token.command("list")
@data_dir_option
@json_option
def list_tokens(data_dir: Path, *, as_json: bool) -> None:
    """Print all API tokens, without their secrets."""
    found = _accounts(data_dir).tokens()
    if as_json:
        print_json([_token(one) for one in found])
        return
    print_table(
        ["id", "user", "name", "scopes", "expires", "last used", "revoked"],
        [
            (
                one.token_id,
                one.username,
                one.name,
                ",".join(one.scopes),
                one.expires_at,
                one.last_used_at,
                one.revoked_at,
            )
            for one in found
        ],
    )


@token.command()
@click.argument("token_id", type=click.IntRange(min=1, max=2**63 - 1))
@data_dir_option
def revoke(token_id: int, data_dir: Path) -> None:
    """Let the API token TOKEN_ID in no more."""
    _warn(at_once=_accounts(data_dir).revoke_token(token_id))
    message(f"token {token_id} is revoked")


def _accounts(data_dir: Path) -> Accounts:
    redis_url = given_url("REDIS_URL")
    # Of the same system as the database: another's knows nothing of these sessions.
    if redis_url is None and given_url("DATABASE_URL") is None:
        redis_url = require_running(data_dir).redis_url
    return bootstrap.accounts(database_url(data_dir), redis_url, f"cli:{_account()}")


def _account() -> str:
    """Return who runs this; a container may have no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _password(*, stdin: bool) -> str:
    if not stdin:
        if not sys.stdin.isatty():
            msg = "no terminal to ask for the password at; give it with --password-stdin"
            raise click.UsageError(msg)
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    # More than allowed, so that what is too long is refused and not cut.
    line = sys.stdin.buffer.readline(4 * (MAX_PASSWORD_LENGTH + 2))
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        msg = "the password is not UTF-8"
        raise PermanentError(msg) from error


def _warn(*, at_once: bool) -> None:
    if not at_once:
        message("Redis could not be told: sessions and tokens may act as before for ten seconds")


def _user(one: User) -> dict[str, object]:
    return {
        "username": one.username,
        "role": one.role,
        "created_at": one.created_at,
        "password_changed_at": one.password_changed_at,
        "disabled_at": one.disabled_at,
    }


def _token(one: ApiToken) -> dict[str, object]:
    return {
        "id": one.token_id,
        "username": one.username,
        "name": one.name,
        "scopes": list(one.scopes),
        "created_at": one.created_at,
        "expires_at": one.expires_at,
        "last_used_at": one.last_used_at,
        "revoked_at": one.revoked_at,
    }
