"""Runs an export in a process of its own: `python -m plumbline.adapters.postgres.export_process`.

Arrow takes more memory than the whole portal and gives none back; and an export in the portal's
process would take turns with its requests.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from typing import Literal

import msgspec

from plumbline import errors
from plumbline.adapters.postgres.exports import Selection, stream_csv, stream_parquet
from plumbline.errors import PlumblineError

Form = Literal["csv", "parquet"]

_ARGV = (sys.executable, "-P", "-m", "plumbline.adapters.postgres.export_process")
_CHUNK_BYTES = 256 * 1024


class _Order(msgspec.Struct):
    form: Form
    database_url: str
    selection: Selection


class _Failure(msgspec.Struct):
    error: str
    message: str


def stream_by_process(
    form: Form, database_url: str, selection: Selection
) -> Generator[bytes, None, None]:
    """Yield what ``stream_csv`` or ``stream_parquet`` would, and raise what it would.

    The process ends with the generator.
    """
    order = msgspec.json.encode(_Order(form, database_url, selection))
    pipe = subprocess.PIPE
    with subprocess.Popen(_ARGV, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None  # noqa: S101 - a pipe
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        try:
            process.stdin.write(order)
            process.stdin.close()
            while chunk := os.read(process.stdout.fileno(), _CHUNK_BYTES):
                yield chunk
            if process.wait() != 0:
                raise _error(process.stderr.read())
        finally:
            process.kill()


def _error(said: bytes) -> Exception:
    try:
        failure = msgspec.json.decode(said, type=_Failure)
    except msgspec.DecodeError:
        return RuntimeError(f"an export ended: {said.decode(errors='replace')}")
    kind: type[PlumblineError] = getattr(errors, failure.error)
    return kind(failure.message)


def main() -> int:
    """Write the file to standard output, or why there is none to standard error."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # nobody reads any more
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=_Order)
    stream = stream_csv if order.form == "csv" else stream_parquet
    try:
        for chunk in stream(order.database_url, order.selection):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    except PlumblineError as error:
        failure = _Failure(type(error).__name__, str(error))
        sys.stderr.buffer.write(msgspec.json.encode(failure))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
