"""Writes the truth file while the simulation runs; `truth.py` reads it and says what is in it."""

import json
import os
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from plumbline.errors import ConfigurationError
from plumbline.simulator.plan import Publication
from plumbline.simulator.puback import FIRST_REFUSAL

VERSION = 1
"""Of the file's format."""

FLUSH_EVERY_S = 0.25

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class TruthWriter:
    """Appends a run to a truth file; a context manager.

    What was written survives the death of the process once it was flushed; whoever writes calls
    `flush` every `FLUSH_EVERY_S`.

    Args:
        path: Created where missing; None writes nothing.

    Raises:
        ConfigurationError: The file cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._buffer = bytearray()
        try:
            self._file = None if path is None else path.open("ab", buffering=0)
        except OSError as error:
            msg = f"truth: {path}: {error.strerror}"
            raise ConfigurationError(msg) from error
        if path is not None and _lacks_newline(path):
            self._buffer += b"\n"

    def line(self, kind: str, **members: Any) -> None:  # noqa: ANN401 - JSON values and times
        """Write a line that is not a publication; see `truth`."""
        plain = {
            name: _timestamp(value.timestamp()) if isinstance(value, datetime) else value
            for name, value in members.items()
        }
        self._append(_ENCODER.encode({"type": kind} | plain).encode())

    def publication(self, publication: Publication, code: int | None) -> None:
        """Write what became of a publication.

        Args:
            publication: As sent.
            code: The PUBACK's reason code; None where none has come.
        """
        if self._file is None or not publication.witnessed:
            return
        acknowledged = code is not None and code < FIRST_REFUSAL
        acknowledged_at = f'"{_now()}"' if acknowledged else "null"
        malformed = publication.malformed
        kind = "reading" if malformed is None else "malformed"
        head = (
            f'{{"type":"{kind}","device":"{publication.device_id}","number":{publication.number},'
            f'"connection":{publication.connection},"attempts":{publication.attempts},'
            f'"published_at":"{_timestamp(publication.published_at)}",'
            f'"acknowledged_at":{acknowledged_at},"code":{"null" if code is None else code},'
        )
        if malformed is None:
            faults = ",".join(f'"{fault}"' for fault in publication.faults)
            self._append(
                f'{head}"faults":[{faults}],"payload":'.encode()
                + (publication.expected or publication.payload)
                + b"}"
            )
        else:
            self._append(
                f'{head}"kind":"{malformed.name}","reason":"{malformed.reason.value}",'
                f'"bytes":{len(publication.payload)},'
                f'"sha256":"{sha256(publication.payload).hexdigest()}"}}'.encode()
            )

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._file is not None:
            view = memoryview(bytes(self._buffer))
            while view:
                view = view[self._file.write(view) or 0 :]
        self._buffer.clear()

    def _append(self, line: bytes) -> None:
        self._buffer += line
        self._buffer += b"\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()
        if self._file is not None:
            self._file.close()


def _lacks_newline(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _now() -> str:
    return _timestamp(time.time())


def _timestamp(at_s: float) -> str:
    return (
        datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )
