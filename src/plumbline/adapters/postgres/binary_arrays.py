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
_INT4 = struct.Struct(">ii")
_INT8 = struct.Struct(">iq")
_FLOAT8 = struct.Struct(">id")
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
        oid = types[self.element].oid
        self.data = _HEAD.pack(1, 1, oid, len(elements), 1) + b"".join(elements)


class Texts(Array):
    """``text[]``; values also for any type that text can be cast to."""

    element = "text"

    def __init__(self, values: Sequence[str | None]) -> None:
        encoded = [None if value is None else value.encode() for value in _some(values)]
        super().__init__(
            [_NULL if value is None else _LENGTH.pack(len(value)) + value for value in encoded]
        )


class Integers(Array):
    """``int4[]``."""

    element = "int4"

    def __init__(self, values: Sequence[int | None]) -> None:
        super().__init__(_fixed(_INT4, 4, values))


class BigIntegers(Array):
    """``int8[]``."""

    element = "int8"

    def __init__(self, values: Sequence[int | None]) -> None:
        super().__init__(_fixed(_INT8, 8, values))


class Doubles(Array):
    """``float8[]``."""

    element = "float8"

    def __init__(self, values: Sequence[float | None]) -> None:
        super().__init__(_fixed(_FLOAT8, 8, values))


class Moments(Array):
    """``timestamptz[]``, from aware times."""

    element = "timestamptz"

    def __init__(self, values: Sequence[datetime]) -> None:
        super().__init__(_fixed(_INT8, 8, [(value - _EPOCH) // _MICROSECOND for value in values]))


class Uuids(Array):
    """``uuid[]``."""

    element = "uuid"

    def __init__(self, values: Sequence[UUID | None]) -> None:
        super().__init__(
            [_NULL if value is None else _UUID_LENGTH + value.bytes for value in _some(values)]
        )


def _some(values: Sequence[_T | None]) -> Sequence[_T | None]:
    return values if any(value is not None for value in values) else ()


def _fixed(layout: struct.Struct, length: int, values: Sequence[float | None]) -> list[bytes]:
    if all(value is None for value in values):
        return []
    pack = layout.pack
    try:
        return [_NULL if value is None else pack(length, value) for value in values]
    except struct.error as error:
        msg = f"a value is out of range: {error}"
        raise psycopg.DataError(msg) from error


def _register(array: type[Array]) -> None:
    class ArrayDumper(adapt.Dumper):
        oid = types[array.element].array_oid
        format = pq.Format.BINARY

        def dump(self, obj: Array) -> bytes:
            return obj.data

    psycopg.adapters.register_dumper(array, ArrayDumper)


for _array in (Texts, Integers, BigIntegers, Doubles, Moments, Uuids):
    _register(_array)
