"""Columns packed as PostgreSQL reads arrays: the driver would look at every element first."""

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_UUID, _BIGINT, _TEXT, _BYTEA, _TIMESTAMPTZ, _BOOL = 2950, 20, 25, 17, 1184, 16

#: Moments are microseconds from here.
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: Dimensions, whether there are nulls (nobody looks), the type of the elements.
_HEADER = struct.Struct(">iiI")
#: How many elements there are, and the index of the first.
_DIMENSION = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")
_BIGINT_ELEMENT = struct.Struct(">iq")
_BOOL_ELEMENT = struct.Struct(">i?")

_NULL = _LENGTH.pack(-1)
_UUID_LENGTH = _LENGTH.pack(16)


class Packed(bytes):
    """An array in binary form; the statement that takes it says of which type it is."""

    __slots__ = ()


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        """Return what was packed."""
        return obj


def accept_packed(connection: psycopg.Connection[Any]) -> None:
    """Let a connection take packed arrays."""
    connection.adapters.register_dumper(Packed, _PackedDumper)


def pack_uuids(values: Sequence[UUID | None]) -> Packed:
    """Return a ``uuid[]``."""
    elements = [_NULL if value is None else _UUID_LENGTH + value.bytes for value in values]
    return _pack(_UUID, elements)


def pack_bigints(values: Sequence[int | None]) -> Packed:
    """Return a ``bigint[]``."""
    elements = [_NULL if value is None else _BIGINT_ELEMENT.pack(8, value) for value in values]
    return _pack(_BIGINT, elements)


def pack_booleans(values: Sequence[bool]) -> Packed:
    """Return a ``boolean[]``."""
    return _pack(_BOOL, [_BOOL_ELEMENT.pack(1, value) for value in values])


def pack_moments(values: Sequence[datetime | None]) -> Packed:
    """Return a ``timestamptz[]``."""
    elements = [
        _NULL if value is None else _BIGINT_ELEMENT.pack(8, (value - _EPOCH) // _MICROSECOND)
        for value in values
    ]
    return _pack(_TIMESTAMPTZ, elements)


def pack_texts(values: Iterable[str | None]) -> Packed:
    """Return a ``text[]``."""
    encoded = [None if value is None else value.encode() for value in values]
    return _pack(_TEXT, [_with_length(value) for value in encoded])


def pack_blobs(values: Iterable[bytes | None]) -> Packed:
    """Return a ``bytea[]``."""
    return _pack(_BYTEA, [_with_length(value) for value in values])


def pack_columns(
    packers: Sequence[Callable[[Sequence[Any]], Packed]], rows: Sequence[Sequence[Any]]
) -> list[Packed]:
    """Return rows as one array a column."""
    columns = zip(*rows, strict=True)
    return [pack(column) for pack, column in zip(packers, columns, strict=True)]


def _with_length(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH.pack(len(value)) + value


def _pack(element_type: int, elements: list[bytes]) -> Packed:
    if not elements:
        return Packed(_HEADER.pack(0, 0, element_type))
    head = _HEADER.pack(1, 1, element_type) + _DIMENSION.pack(len(elements), 1)
    return Packed(head + b"".join(elements))
