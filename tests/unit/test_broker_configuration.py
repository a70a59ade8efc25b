"""The broker's configuration files."""

import base64
import hashlib
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt.client import topic_matches_sub

from plumbline.adapters.mqtt.configuration import (
    SERVICE_PREFIX,
    SERVICE_USERS,
    BrokerFiles,
    BrokerOptions,
    Listener,
    access_rules,
    render_config,
)
from plumbline.adapters.mqtt.credentials import (
    PasswordFile,
    hash_password,
    reload,
    write_password_file,
)
from plumbline.application.devices import RESERVED_PREFIX
from plumbline.settings import DEFAULT_TOPICS

FILES = BrokerFiles(
    state_dir=Path("/d/state"),
    password_file=Path("/d/passwords"),
    acl_file=Path("/d/acl"),
    certificate_file=Path("/d/server.pem"),
    key_file=Path("/d/server-key.pem"),
)
PLAIN = Listener("127.0.0.1", 1883)
TLS = Listener("0.0.0.0", 8883)  # noqa: S104 - rendered, not bound


def settings(text: str) -> list[str]:
    """Return the lines that are not comments."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_every_listener_takes_the_client_id_from_the_user_name() -> None:
    lines = settings(render_config(FILES, plain=[PLAIN], tls=[TLS]))
    listeners = [index for index, line in enumerate(lines) if line.startswith("listener ")]
    assert [lines[index] for index in listeners] == [
        "listener 1883 127.0.0.1",
        "listener 8883 0.0.0.0",
    ]
    assert all(lines[index + 1] == "use_username_as_clientid true" for index in listeners)
    assert "certfile /d/server.pem" in lines[listeners[1] :]
    assert not any(line.startswith("certfile") for line in lines[: listeners[1]])


def test_options_are_rendered() -> None:
    options = BrokerOptions(
        max_queued_bytes=123, run_as="mosquitto", log_connections=True, log_messages=True
    )
    lines = settings(render_config(FILES, plain=[PLAIN], options=options))
    for line in (
        "max_queued_bytes 123",
        "user mosquitto",
        "connection_messages true",
        "log_type debug",
    ):
        assert line in lines
        assert line not in settings(render_config(FILES, plain=[PLAIN]))


def test_the_journal_holds_every_topic_that_is_drained_and_every_command() -> None:
    files = replace(FILES, journal_plugin=Path("/d/journal.so"))
    options = BrokerOptions(sync_journal=True, journal_reserve_bytes=5)
    lines = settings(render_config(files, plain=[PLAIN], options=options))
    begin = lines.index("plugin /d/journal.so")
    assert lines[begin + 1 : begin + 5] == [
        "plugin_opt_journal /d/state/uplinks.journal",
        "plugin_opt_saved /d/state/mosquitto.db",
        "plugin_opt_sync true",
        "plugin_opt_reserve 5",
    ]
    held = [line.split()[1] for line in lines if line.startswith("plugin_opt_uplink ")]
    for topic_filter in DEFAULT_TOPICS.split(","):
        assert is_held(held, topic_filter.replace("+", "x")), topic_filter
    commands = [line.split()[1] for line in lines if line.startswith("plugin_opt_command ")]
    assert commands == [
        "tilt/+/commands",
        "application/+/device/+/command/down",
        "v3/+/devices/+/down/push",
        "v3/+/devices/+/down/replace",
    ]
    for command in commands:
        assert not is_held(held, command.replace("+", "x"))


def is_held(filters: list[str], topic: str) -> bool:
    """Return whether the journal holds what is published there."""
    return any(topic_matches_sub(one, topic) for one in filters)


def test_without_a_plugin_there_is_no_journal() -> None:
    text = render_config(FILES, plain=[PLAIN])
    assert not [line for line in settings(text) if line.startswith("plugin")]


def test_tls_without_a_certificate_is_refused() -> None:
    files = BrokerFiles(FILES.state_dir, FILES.password_file, FILES.acl_file)
    with pytest.raises(ValueError, match="certificate"):
        render_config(files, plain=[PLAIN], tls=[TLS])


def test_service_users_have_the_prefix_that_devices_may_not_have() -> None:
    assert SERVICE_PREFIX == RESERVED_PREFIX
    assert all(user.startswith(SERVICE_PREFIX) for user in SERVICE_USERS)
    users = [line.split()[1] for line in settings(access_rules()) if line.startswith("user ")]
    assert sorted(users) == sorted(SERVICE_USERS)


def test_a_hash_is_in_mosquittos_format() -> None:
    empty, kind, iterations, salt, digest = hash_password("word").split("$")
    assert (empty, kind) == ("", "7")
    assert base64.b64decode(digest) == hashlib.pbkdf2_hmac(
        "sha512", b"word", base64.b64decode(salt), int(iterations)
    )
    assert len(base64.b64decode(salt)) == 12


def test_the_same_password_has_another_hash_each_time() -> None:
    assert hash_password("word") != hash_password("word")


def test_the_password_file_is_replaced_as_a_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    write_password_file(path, {"b": "2", "a": "1"})
    with path.open(encoding="ascii") as old:
        write_password_file(path, {"c": "3"})
        assert old.read() == "a:1\nb:2\n"
    assert path.read_text("ascii") == "c:3\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    write_password_file(path, {"a": "1"})
    with pytest.raises(UnicodeEncodeError):
        write_password_file(path, {"ä": "2"})
    assert path.read_text("ascii") == "a:1\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_publication_holds_services_and_devices_and_comes_before_the_reload(
    tmp_path: Path,
) -> None:
    path = tmp_path / "passwords"
    at_reload: list[list[str]] = []

    def users() -> list[str]:
        return [line.partition(":")[0] for line in path.read_text("ascii").splitlines()]

    file = PasswordFile(path, {"plumbline-ingest": "word"}, lambda: at_reload.append(users()))
    file.publish(lambda: {"d1": "hash", "plumbline-ingest": "a device must not be one"})
    assert at_reload == [["d1", "plumbline-ingest"]]
    assert "a device must not be one" not in path.read_text("ascii")


def test_reloading_a_broker_that_has_ended_is_no_error() -> None:
    reload(2**22 + 1)  # beyond the largest process id
