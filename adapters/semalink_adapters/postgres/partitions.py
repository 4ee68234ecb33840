"""Monthly partitions of the tables whose keys are UUIDv7 or times."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.sql import SQL, Identifier, Literal

PARTITIONED = (
    "message_events",
    "inbound_reports",
    "refusals",
    "webhook_events",
    "account_events",
)
#: Those that are divided by a time and not by an id.
BY_TIME = frozenset({"account_events"})
MONTHS_AHEAD = 3

#: Makers of partitions wait for one another, so that two at once do no harm.
_LOCK = 7_230_001


def first_id_of(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of a millisecond, the lower bound of a partition."""
    milliseconds = int(moment.timestamp() * 1000)
    return UUID(int=milliseconds << 80)


def month_start(moment: datetime, months_later: int = 0) -> datetime:
    """Return the first instant, in UTC, of the month some months after this one."""
    months = moment.year * 12 + moment.month - 1 + months_later
    return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)


_PARTITIONS = """
SELECT i.inhrelid::regclass::text FROM pg_inherits AS i
WHERE i.inhparent = %s::regclass ORDER BY 1"""

Guard = Callable[[psycopg.Connection[Any], str, str], None]


def ensure(
    connection: psycopg.Connection[Any], now: datetime, guard: Guard | None = None
) -> list[str]:
    """Make the partitions of the last, this and the next months; return the names of new ones.

    ``guard`` is given the parent and the name of each new one, in the same transaction.
    """
    made: list[str] = []
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        lock(connection)
        for table in PARTITIONED:
            for offset in range(-1, MONTHS_AHEAD + 1):
                start = month_start(now, offset)
                name = f"{table}_{start:%Y_%m}"
                if _exists(connection, name):
                    continue
                _create(connection, table, name, start, month_start(now, offset + 1))
                if guard is not None:
                    guard(connection, table, name)
                made.append(name)
    return made


def drop_before(connection: psycopg.Connection[Any], table: str, moment: datetime) -> list[str]:
    """Drop the months of a table that ended before a moment; return their names."""
    dropped: list[str] = []
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '5s'")
        lock(connection)
        for (name,) in connection.execute(_PARTITIONS, (table,)).fetchall():
            month = datetime.strptime(name[-7:], "%Y_%m").replace(tzinfo=UTC)
            if month_start(month, 1) <= moment:
                connection.execute(SQL("DROP TABLE {}").format(Identifier(name)))
                dropped.append(name)
    return dropped


def lock(connection: psycopg.Connection[Any]) -> None:
    """Keep every other maker of partitions out until the transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))


def _exists(connection: psycopg.Connection[Any], name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
    return row is not None and row[0] is not None


def _create(
    connection: psycopg.Connection[Any], table: str, name: str, start: datetime, end: datetime
) -> None:
    # Made apart and then attached, because PARTITION OF would lock its parent against everybody.
    parts = {"name": Identifier(name), "table": Identifier(table)}
    connection.execute(SQL("CREATE TABLE {name} (LIKE {table} INCLUDING ALL)").format(**parts))
    connection.execute(
        SQL(
            "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"
        ).format(start=Literal(_bound(table, start)), end=Literal(_bound(table, end)), **parts)
    )


def _bound(table: str, moment: datetime) -> str:
    return moment.isoformat() if table in BY_TIME else str(first_id_of(moment))
