"""Readings of one device as a stream of CSV or Parquet; memory does not grow with their number.

Each export has a connection of its own: it lasts as long as the reader takes. Arrow is loaded where
it is needed: it is more than all the rest of a process.
"""

import io
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from plumbline.adapters.postgres.access import connection_url
from plumbline.adapters.postgres.queries import load
from plumbline.errors import PermanentError, StoreUnavailable

if TYPE_CHECKING:
    import pyarrow as pa

_SQL = load("portal.sql")

_CONNECT_TIMEOUT_S = 5
_CSV_CHUNK_BYTES = 256 * 1024
_BATCH_BYTES = 2 * 1024 * 1024
_ROW_GROUP_ROWS = 65_536
# A reader that stopped reading must not hold a snapshot for ever.
_STATEMENT_TIMEOUT_MS = 3_600_000

_UNITS = {
    "tilt_angle": "deg",
    "battery_level": "%",
    "tilt_x": "deg",
    "tilt_y": "deg",
    "tilt_z": "deg",
    "temperature": "degC",
    "rssi": "dBm",
    "snr": "dB",
}

_EXECUTED = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export.

    Attributes:
        device_id: Of the device.
        first, last: Its readings from ``first`` until before ``last``, aware.
        zone: IANA name of the zone of the times.
    """

    device_id: str
    first: datetime
    last: datetime
    zone: str


def spreadsheet_cell(text: str) -> str:
    """Return the text so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_EXECUTED) else text


def stream_csv(database_url: str, selection: Selection) -> Generator[bytes, None, None]:
    """Yield the readings as CSV (RFC 4180, UTF-8), by time, with a header line.

    Raises:
        PermanentError: The server does not know the zone; its list may be older than ours.
        StoreUnavailable: At the beginning or later.
    """
    try:
        with (
            psycopg.connect(
                connection_url(database_url),
                autocommit=True,
                connect_timeout=_CONNECT_TIMEOUT_S,
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
            ) as connection,
            connection.cursor() as cursor,
        ):
            _set_zone(cursor, selection.zone)
            parameters = {
                "device_cell": spreadsheet_cell(selection.device_id),
                "device_id": selection.device_id,
                "from": selection.first,
                "to": selection.last,
            }
            with cursor.copy(_SQL["export_csv"], parameters) as copy:
                rows: list[bytes] = []
                size = 0
                while row := copy.read():
                    rows.append(bytes(row))
                    size += len(row)
                    if size >= _CSV_CHUNK_BYTES:
                        yield b"".join(rows)
                        rows.clear()
                        size = 0
                yield b"".join(rows)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(str(error).partition("\n")[0]) from error


def _set_zone(cursor: psycopg.Cursor, zone: str) -> None:
    try:
        cursor.execute(_SQL["set_zone"], {"zone": zone})
    except psycopg.errors.InvalidParameterValue as error:
        msg = f"the database does not know the zone {zone}"
        raise PermanentError(msg) from error


def stream_parquet(database_url: str, selection: Selection) -> Generator[bytes, None, None]:
    """Yield the readings as one Parquet file, by time; units stand in the columns' metadata.

    Raises:
        StoreUnavailable: At the beginning or later.
    """
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415 - see the module's docstring
    from adbc_driver_manager import Error as AdbcError  # noqa: PLC0415

    statement = sql.SQL(_SQL["export_columns"]).format(
        **{
            "device_id": sql.Literal(selection.device_id),
            "from": sql.Literal(selection.first),
            "to": sql.Literal(selection.last),
        }
    )
    try:
        with (
            closing(adbc.connect(_with_timeout(connection_url(database_url)))) as connection,
            closing(connection.cursor()) as cursor,
        ):
            cursor.adbc_statement.set_options(
                **{"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)}
            )
            cursor.execute(statement.as_string())
            yield from _write(cursor.fetch_record_batch(), selection)
    except (AdbcError, OSError) as error:  # the latter once rows are on their way
        raise StoreUnavailable(str(error).partition("\n")[0]) from error


def _write(reader: "pa.RecordBatchReader", selection: Selection) -> Iterator[bytes]:
    import pyarrow as pa  # noqa: PLC0415 - see the module's docstring
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = _described(reader.schema, selection)
    sink = _Sink()
    # Numbers seldom repeat: looking for a dictionary of them takes a third of the time.
    with pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        schema,
        compression="zstd",
        use_dictionary=["status"],  # type: ignore[arg-type] # the stubs know a bool only
    ) as writer:
        pending: list[pa.RecordBatch] = []
        rows = 0
        for batch in reader:
            pending.append(batch)
            rows += batch.num_rows
            if rows >= _ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(pending).cast(schema))
                yield sink.take()
                pending.clear()
                rows = 0
        if pending:
            writer.write_table(pa.Table.from_batches(pending).cast(schema))
    yield sink.take()


def _described(schema: "pa.Schema", selection: Selection) -> "pa.Schema":
    import pyarrow as pa  # noqa: PLC0415 - see the module's docstring

    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", tz=selection.zone)
        unit = _UNITS.get(field.name)
        fields.append(pa.field(field.name, kind, metadata={"unit": unit} if unit else None))
    return pa.schema(fields, metadata={"device_id": selection.device_id})


def _with_timeout(url: str) -> str:
    options = quote(f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c TimeZone=UTC")
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}connect_timeout={_CONNECT_TIMEOUT_S}&options={options}"


class _Sink(io.RawIOBase):
    """A file that only grows; what was written so far can be taken away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """Tell that it can be written."""
        return True

    def write(self, data: Any, /) -> int:  # noqa: ANN401 - any buffer
        """Keep a copy: the writer uses its buffer again."""
        part = bytes(data)
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
