"""Whom the broker turned away, from its log: it has no counters for that.

It acknowledges a publication on a topic that the device may not use to an MQTT 3.1.1 client all
the same, and then ends the connection; a wrong password is a line without a name.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_SIGN_IN = re.compile(r"disconnected, not authorised\.$", re.MULTILINE)
_JOURNAL = re.compile(r"uplink journal: uplinks are (?:taken|refused: (.+)$)", re.MULTILINE)
_CUT_OFF = re.compile(r"Bad socket read/write on client (\S+): Unknown error\.$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BrokerRefusals:
    """Counts since the log begins (at most 16 MiB of it are kept).

    Attributes:
        sign_ins: Connections refused for a wrong user or password.
        cut_off: By device, connections ended because it published where it may not, or sent
            what is no MQTT.
        journal: Why uplinks are refused now, as the journal cannot be written; else None.
    """

    sign_ins: int = 0
    cut_off: dict[str, int] = field(default_factory=dict)
    journal: str | None = None


def read_refusals(log: Path) -> BrokerRefusals:
    """Count the refusals in Mosquitto's log; none where there is no log."""
    try:
        text = log.read_text("utf-8", "replace")
    except FileNotFoundError:
        return BrokerRefusals()
    cut_off = Counter(match[1] for match in _CUT_OFF.finditer(text))
    states: list[str] = _JOURNAL.findall(text)
    return BrokerRefusals(
        sign_ins=len(_SIGN_IN.findall(text)),
        cut_off=dict(sorted(cut_off.items())),
        journal=(states[-1] or None) if states else None,
    )
