"""Arrays packed a column at a time are what the driver packs value by value."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import adapt
from psycopg.types.numeric import Float8, Int4, Int8

from plumbline.adapters.postgres.binary_arrays import (
    Array,
    BigIntegers,
    Doubles,
    Integers,
    Moments,
    Texts,
    Uuids,
)

Pack = Callable[[Sequence[Any]], Array]
SAME: Callable[[Any], Any] = lambda value: value  # noqa: E731 - one of a table of functions


def packed_by_the_driver(values: list[Any]) -> bytes:
    dumper = adapt.Transformer().get_dumper(values, adapt.PyFormat.BINARY)
    return bytes(dumper.dump(values) or b"")


@pytest.mark.parametrize(
    ("pack", "wrap", "values"),
    [
        pytest.param(Integers, Int4, [0, 1, -1, 2**31 - 1, -(2**31)], id="int4"),
        pytest.param(BigIntegers, Int8, [0, -1, 2**63 - 1, -(2**63)], id="int8"),
        pytest.param(Doubles, Float8, [0.0, -0.0, 1.5, -180.0, 5e-324, 1e308], id="float8"),
        pytest.param(Texts, SAME, ["a", "", "Brücke", "x" * 300], id="text"),
        pytest.param(Uuids, SAME, [UUID(int=0), UUID(int=5), UUID(int=2**128 - 1)], id="uuid"),
        pytest.param(
            Moments,
            SAME,
            [
                datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
                datetime(2026, 1, 18, 10, 29, 0, 1, tzinfo=UTC),
                datetime.max.replace(tzinfo=UTC),
            ],
            id="timestamptz",
        ),
    ],
)
def test_a_column_is_packed_as_the_driver_packs_it(
    pack: Pack, wrap: Callable[[Any], Any], values: list[Any]
) -> None:
    # The driver says whether there is a NULL; PostgreSQL looks for itself.
    flag = slice(4, 8)
    columns = [values, values[:1]] if pack is Moments else [values, values[:1], [*values, None]]
    for column in columns:
        expected = bytearray(
            packed_by_the_driver([None if value is None else wrap(value) for value in column])
        )
        expected[flag] = b"\0\0\0\1"
        assert pack(column).data == bytes(expected)


@pytest.mark.parametrize("pack", [Integers, BigIntegers, Doubles, Texts, Uuids])
def test_a_column_without_any_value_is_an_empty_array(pack: Pack) -> None:
    assert pack([None] * 3).data == pack([]).data


@pytest.mark.parametrize(
    ("pack", "value"),
    [(Integers, 2**31), (Integers, 1.5), (BigIntegers, 2**63), (Doubles, "1")],
)
@pytest.mark.parametrize("beside", [[], [None]])
def test_a_value_that_the_column_cannot_hold_is_a_data_error(
    pack: Pack, value: object, beside: list[None]
) -> None:
    with pytest.raises(psycopg.DataError):
        pack([value, *beside])
