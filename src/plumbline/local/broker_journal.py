"""How the broker of a data directory keeps what it acknowledges, chosen at each start."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from plumbline.errors import ConfigurationError
from plumbline.local.private_file import write_private
from plumbline.local.servers.journal_plugin import build_journal_plugin

JournalMode = Literal["written", "synced", "off"]
"""An uplink is acknowledged when the operating system has it, when the disk has it, or when the
broker has it in memory."""

JOURNAL_MODES: tuple[JournalMode, ...] = get_args(JournalMode)

_FILE = Path("run") / "broker-journal.json"


@dataclass(frozen=True, slots=True)
class BrokerJournal:
    """What was chosen.

    Attributes:
        mode: In force.
        problem: Why it is off although nobody asked for that; None where all is as asked for.
    """

    mode: JournalMode
    problem: str | None = None


def prepare_journal(
    data_dir: Path,
    asked: JournalMode | None,
    build: Callable[[Path], Path] = build_journal_plugin,
) -> tuple[BrokerJournal, Path | None]:
    """Make the plugin ready; return what is in force, and the plugin's file.

    Args:
        data_dir: The system's data directory.
        asked: None is ``written``, or ``off`` with the problem where it cannot be had.
        build: Makes the plugin below a directory.

    Raises:
        ConfigurationError: What was asked for cannot be had.
    """
    if asked == "off":
        return BrokerJournal("off"), None
    try:
        plugin = build(data_dir / "plugins")
    except ConfigurationError as error:
        if asked is not None:
            raise
        return BrokerJournal("off", str(error)), None
    return BrokerJournal(asked or "written"), plugin


def write_journal(data_dir: Path, journal: BrokerJournal | None) -> None:
    """Keep it for those who ask; None for somebody else's broker."""
    path = data_dir / _FILE
    if journal is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, json.dumps({"mode": journal.mode, "problem": journal.problem}))


def read_journal(data_dir: Path) -> BrokerJournal | None:
    """Return what is in force; None for somebody else's broker."""
    try:
        return BrokerJournal(**json.loads((data_dir / _FILE).read_text("utf-8")))
    except FileNotFoundError:
        return None
