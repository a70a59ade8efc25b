"""Whether the broker has a journal, and what is said where it has none."""

from pathlib import Path

import pytest

from plumbline.errors import ConfigurationError
from plumbline.local.broker_journal import (
    BrokerJournal,
    prepare_journal,
    read_journal,
    write_journal,
)
from plumbline.local.broker_log import read_refusals
from plumbline.local.servers.journal_plugin import build_journal_plugin

PLUGIN = Path("journal.so")


def has(_: Path) -> Path:
    """Build, as a machine with a compiler does."""
    return PLUGIN


def has_not(_: Path) -> Path:
    """Build, as a machine without a compiler does."""
    msg = "there is no C compiler cc"
    raise ConfigurationError(msg)


def test_by_default_readings_are_written_before_they_are_acknowledged(tmp_path: Path) -> None:
    assert prepare_journal(tmp_path, None, has) == (BrokerJournal("written"), PLUGIN)
    assert prepare_journal(tmp_path, "synced", has) == (BrokerJournal("synced"), PLUGIN)


def test_where_it_cannot_be_had_the_reason_is_kept_for_all_to_see(tmp_path: Path) -> None:
    journal, plugin = prepare_journal(tmp_path, None, has_not)
    assert (journal, plugin) == (BrokerJournal("off", "there is no C compiler cc"), None)
    write_journal(tmp_path, journal)
    assert read_journal(tmp_path) == journal


def test_what_was_asked_for_and_cannot_be_had_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no C compiler"):
        prepare_journal(tmp_path, "written", has_not)


def test_switched_off_on_purpose_is_no_problem(tmp_path: Path) -> None:
    assert prepare_journal(tmp_path, "off", has_not) == (BrokerJournal("off"), None)


def test_somebody_elses_broker_has_no_journal_of_ours(tmp_path: Path) -> None:
    write_journal(tmp_path, BrokerJournal("written"))
    write_journal(tmp_path, None)
    assert read_journal(tmp_path) is None


def test_a_machine_without_a_compiler_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ConfigurationError, match=r"no-such-compiler: not found.*install gcc"):
        build_journal_plugin(tmp_path)


def test_a_machine_without_mosquittos_headers_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPPFLAGS", "-nostdinc")
    with pytest.raises(ConfigurationError, match=r"error: .*install gcc .*mosquitto-dev"):
        build_journal_plugin(tmp_path)
    assert not list(tmp_path.glob("*.so"))


def test_the_journal_refuses_until_the_log_says_that_it_takes(tmp_path: Path) -> None:
    log = tmp_path / "mosquitto.log"
    start = "2026-01-18T10:30:00: uplink journal: uplinks are taken, each after it was written\n"
    full = "2026-01-18T10:30:01: uplink journal: uplinks are refused: No space left on device\n"
    again = "2026-01-18T10:30:09: uplink journal: uplinks are taken again, 7 were refused\n"
    states = []
    for text in ("", start, start + full, start + full + again, start + full + start):
        log.write_text(text)
        states.append(read_refusals(log).journal)
    assert states == [None, None, "No space left on device", None, None]
