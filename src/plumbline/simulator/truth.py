"""The truth file: what was published and what the broker acknowledged, as JSON Lines.

Line kinds, told by ``type``: ``run`` (begins a run), ``device`` (what is true about a device),
``reading`` and ``malformed`` (one a published message), ``command`` and ``downlink`` (a device has
done what it was told), ``repetition`` (a command came again), ``end`` (the run ended in order). A
file may hold several runs; a run without ``end`` was cut off, and its last half second may be
missing.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from plumbline.domain.reason import Reason
from plumbline.errors import ConfigurationError


class RunLine(msgspec.Struct, frozen=True, tag_field="type", tag="run"):
    """The first line of a run.

    Attributes:
        run: Names the run; random.
        version: Of the file's format.
        started_at: Before the first publication; the clock of the simulator's machine.
        epoch: The moment around which the scenarios' events happen.
        parameters: The options of the run.
    """

    run: str
    version: int
    seed: int
    scenario: str
    started_at: datetime
    epoch: datetime
    parameters: dict[str, Any]


class DeviceLine(msgspec.Struct, frozen=True, tag_field="type", tag="device"):
    """What is true about a device: scenario, parameters, thresholds, noise."""

    device: str
    truth: dict[str, Any]


class ReadingLine(msgspec.Struct, frozen=True, tag_field="type", tag="reading"):
    """A published reading.

    Attributes:
        number: Order of publishing within the device and run.
        connection: Number of the device's connection on which it was last sent.
        attempts: How often it was sent; more than once after a lost connection.
        acknowledged_at: When the PUBACK came, or None.
        code: MQTT 5 reason code of the PUBACK; None without one; 128 and above is a refusal.
        faults: Planted ones: ``duplicate``, ``late``, ``out_of_order``.
        payload: The JSON object as sent; of a LoRaWAN device, what its frame must become.
    """

    device: str
    number: int
    connection: int
    attempts: int
    published_at: datetime
    acknowledged_at: datetime | None
    code: int | None
    faults: list[str]
    payload: dict[str, Any]


class MalformedLine(msgspec.Struct, frozen=True, tag_field="type", tag="malformed"):
    """A published message that must be refused; what is not said here is as in `ReadingLine`.

    Attributes:
        kind: Of `MALFORMED`.
        reason: The code with which it must be quarantined.
        bytes: Length of the payload.
        sha256: Of the payload, hexadecimal.
    """

    device: str
    number: int
    connection: int
    attempts: int
    published_at: datetime
    acknowledged_at: datetime | None
    code: int | None
    kind: str
    reason: Reason
    bytes: int
    sha256: str


class CommandLine(msgspec.Struct, frozen=True, tag_field="type", tag="command"):
    """A command that an MQTT device has executed."""

    device: str
    command_id: str
    command: str
    executed_at: datetime


class RepetitionLine(msgspec.Struct, frozen=True, tag_field="type", tag="repetition"):
    """A command that came to an MQTT device again: answered again, not executed."""

    device: str
    command_id: str
    came_at: datetime


class DownlinkLine(msgspec.Struct, frozen=True, tag_field="type", tag="downlink"):
    """A downlink that a LoRaWAN device has heard and executed; a repetition has no line.

    Attributes:
        item: ChirpStack's queue item id, or The Things Stack's first correlation id.
        data: The bytes, hexadecimal.
        f_cnt_down: The downlink frame counter.
    """

    device: str
    item: str
    f_port: int
    data: str
    f_cnt_down: int
    confirmed: bool
    executed_at: datetime


class EndLine(msgspec.Struct, frozen=True, tag_field="type", tag="end"):
    """The last line of a run that ended in order."""

    run: str
    ended_at: datetime
    summary: dict[str, Any]


TruthLine = (
    RunLine
    | DeviceLine
    | ReadingLine
    | MalformedLine
    | CommandLine
    | RepetitionLine
    | DownlinkLine
    | EndLine
)

_DECODER: msgspec.json.Decoder[TruthLine] = msgspec.json.Decoder(TruthLine)


def read_truth(path: Path) -> Iterator[TruthLine]:
    """Yield the lines of a truth file.

    A torn line is left out where a process can have died: at the end of the file, and before a
    ``run`` line.

    Raises:
        ConfigurationError: The file cannot be read, or another line is not of this format.
    """
    try:
        with path.open("rb") as file:
            torn: int | None = None
            for number, text in enumerate(file, 1):
                line = _decode(text)
                if torn is not None and not isinstance(line, RunLine):
                    break
                torn = number if line is None else None
                if line is not None:
                    yield line
            else:
                return
    except OSError as error:
        msg = f"truth: {path}: {error.strerror}"
        raise ConfigurationError(msg) from error
    msg = f"truth: {path}: line {torn} is not one of a truth file"
    raise ConfigurationError(msg)


def _decode(text: bytes) -> TruthLine | None:
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError:  # also of a line that is JSON but has another shape
        return None
