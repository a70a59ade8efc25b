"""PostgreSQL's binary array format, packed a column at a time.

The driver packs any list, value by value, and picks the array's type from what it finds, so that
one statement comes in many variants. Here the caller names the type, and a column takes a third of
the time. A column without any value becomes an empty array, which ``unnest`` fills with NULL.

Source: ``array_recv`` and the recv functions of the element types, in PostgreSQL's source.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import psycopg
from psycopg import adapt, pq
from psycopg.postgres import types

# Dimensions, "may hold NULL", element type, length, lower bound.
_HEAD = struct.Struct(">iiIii")
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)

_T = TypeVar("_T")

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Array:
    """A packed array, to pass as a query's parameter; a subclass for each element type."""

    __slots__ = ("data",)
    element: str

    def __init__(self, elements: Sequence[bytes]) -> None:
        self._set(len(elements), b"".join(elements))

    def _set(self, length: int, packed: bytes | bytearray) -> None:
        self.data = _HEAD.pack(1, 1, types[self.element].oid, length, 1) + packed


class Texts(Array):
    """``text[]``; values also for any type that text can be cast to."""

    element = "text"

    def __init__(self, values: Sequence[str | None]) -> None:
        pack = _LENGTH.pack
        super().__init__(
            [
                _NULL if value is None else pack(len(text := value.encode())) + text
                for value in _some(values)
            ]
        )


class _Numbers(Array):
    """Of a type whose values are 4 or 8 bytes.

    Attributes:
        layout: Of a value's length and the value.
        code: `struct`'s, of the value alone.
    """

    layout: struct.Struct
    code: str

    def __init__(self, values: Sequence[float | None]) -> None:
        if all(value is None for value in values):
            self._set(0, b"")
            return
        try:
            self._set(len(values), self._pack_all(values))
        except struct.error:  # some are None, or out of range
            super().__init__(self._pack_each(values))

    def _pack_all(self, values: Sequence[float | None]) -> bytearray:
        """Pack all values by one call, and lay each byte of them where it belongs."""
        bare = struct.pack(f">{len(values)}{self.code}", *values)
        length, whole = self.layout.size - _LENGTH.size, self.layout.size
        packed = bytearray(len(values) * whole)
        packed[_LENGTH.size - 1 :: whole] = bytes([length]) * len(values)
        for byte in range(length):
            packed[_LENGTH.size + byte :: whole] = bare[byte::length]
        return packed

    def _pack_each(self, values: Sequence[float | None]) -> list[bytes]:
        pack, length = self.layout.pack, self.layout.size - _LENGTH.size
        try:
            return [_NULL if value is None else pack(length, value) for value in values]
        except struct.error as error:
            msg = f"a value is out of range: {error}"
            raise psycopg.DataError(msg) from error


class Integers(_Numbers):
    """``int4[]``."""

    element = "int4"
    layout, code = struct.Struct(">ii"), "i"


class BigIntegers(_Numbers):
    """``int8[]``."""

    element = "int8"
    layout, code = struct.Struct(">iq"), "q"


class Doubles(_Numbers):
    """``float8[]``."""

    element = "float8"
    layout, code = struct.Struct(">id"), "d"


class Moments(_Numbers):
    """``timestamptz[]``, from aware times."""

    element = "timestamptz"
    layout, code = BigIntegers.layout, BigIntegers.code

    def __init__(self, values: Sequence[datetime]) -> None:
        super().__init__([(value - _EPOCH) // _MICROSECOND for value in values])


class Uuids(Array):
    """``uuid[]``."""

    element = "uuid"

    def __init__(self, values: Sequence[UUID | None]) -> None:
        super().__init__(
            [
                _NULL if value is None else _UUID_LENGTH + value.int.to_bytes(16)
                for value in _some(values)
            ]
        )


def _some(values: Sequence[_T | None]) -> Sequence[_T | None]:
    return values if any(value is not None for value in values) else ()


def _register(array: type[Array]) -> None:
    class ArrayDumper(adapt.Dumper):
        oid = types[array.element].array_oid
        format = pq.Format.BINARY

        def dump(self, obj: Array) -> bytes:
            return obj.data

    psycopg.adapters.register_dumper(array, ArrayDumper)


for _array in (Texts, Integers, BigIntegers, Doubles, Moments, Uuids):
    _register(_array)
