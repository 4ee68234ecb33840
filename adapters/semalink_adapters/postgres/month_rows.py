"""Rows of one partition, copied out and in a page at a time, each in a transaction of its own.

No transaction that reads has a number, and none that writes lasts: readers of the logs wait for
neither (ADR-0007).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from semalink_adapters.postgres.partitions import first_id_of

_COLUMNS = SQL("originator_id, originator_version, topic, state, notification_id, xid, recorded_at")
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"

_PAGE = SQL(
    "COPY (SELECT {columns} FROM {table} WHERE (originator_id, originator_version) > ({id},"
    " {version}) ORDER BY originator_id, originator_version LIMIT {limit})"
    " TO STDOUT (FORMAT BINARY)"
)
_LOAD = SQL("COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)")
_MAKE = SQL(
    "CREATE TABLE {name} (LIKE {log} INCLUDING ALL, CONSTRAINT {check} CHECK"
    " (originator_id >= {start} AND originator_id < {end}))"
)
_ATTACH = SQL("ALTER TABLE {log} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")


def copy_page(
    connection: psycopg.Connection[Any], table: str, after: tuple[UUID, int], size: int
) -> list[bytes]:
    """Return the next rows behind an id and version, as a binary copy holds them."""
    statement = _PAGE.format(
        columns=_COLUMNS,
        table=Identifier(table),
        id=Literal(after[0]),
        version=Literal(after[1]),
        limit=Literal(size),
    )
    with connection.cursor().copy(statement) as copied:
        rows = [bytes(row) for row in copied]
    # The header comes by itself or before the first row, and the trailer behind the last.
    rows[0] = rows[0].removeprefix(_HEADER)
    rows[-1] = rows[-1] if len(rows[-1]) > len(_TRAILER) else b""
    return [row for row in rows if row]


def load_page(connection: psycopg.Connection[Any], table: str, rows: Sequence[bytes]) -> None:
    """Insert rows as they were copied."""
    statement = _LOAD.format(table=Identifier(table), columns=_COLUMNS)
    with connection.cursor().copy(statement) as copied:
        copied.write(b"".join((_HEADER, *rows, _TRAILER)))


def pages(
    connection: psycopg.Connection[Any],
    table: str,
    size: int,
    after: tuple[UUID, int] = (UUID(int=0), 0),
) -> Iterator[list[bytes]]:
    """Yield the rows of a partition in order, a page at a time."""
    while rows := copy_page(connection, table, after, size):
        yield rows
        last = rows[-1]
        after = UUID(bytes=last[6:22]), int.from_bytes(last[26:34], "big")


def make_apart(
    connection: psycopg.Connection[Any], log: str, name: str, start: datetime, end: datetime
) -> None:
    """Make a table for a month that is not a partition yet, instead of one that was begun."""
    with connection.transaction():
        connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(name)))
        # The check spares the server a look at every row when it becomes a partition.
        connection.execute(
            _MAKE.format(check=Identifier(f"{name}_month"), **_names(log, name, start, end))
        )


def attach(
    connection: psycopg.Connection[Any], log: str, name: str, start: datetime, end: datetime
) -> None:
    """Make a table a partition of its log, in the transaction that the connection is in."""
    connection.execute("SET LOCAL lock_timeout = '5s'")
    connection.execute(_ATTACH.format(**_names(log, name, start, end)))
    connection.execute(
        SQL("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {}").format(
            Identifier(name), Identifier(f"{name}_month")
        )
    )


def _names(log: str, name: str, start: datetime, end: datetime) -> dict[str, Composed | Any]:
    return {
        "log": Identifier(log),
        "name": Identifier(name),
        "start": Literal(str(first_id_of(start))),
        "end": Literal(str(first_id_of(end))),
    }
