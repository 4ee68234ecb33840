"""Statements of months that are open: read from the entries up to now, and stored nowhere.

They are made one at a time, over a connection of their own, in pages so small that what else the
process does goes on between them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from semalink.application.reading import ReadsUnavailable
from semalink.application.statements import (
    NOTHING,
    Position,
    StatementBuilder,
    encode_statement,
    position_after,
)
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.errors import MonthNotClosed, StatementNotFound
from semalink_adapters.postgres.ledger_export import SELECT_TIME
from semalink_adapters.postgres.mapper import EventMapper
from semalink_adapters.postgres.sessions import CONNECT_TIMEOUT_SECONDS, KEEPALIVES, KEPT_ALIVE

#: More entries of a month are not read before it is closed: about ten seconds of reading.
ENTRIES_MAX = 1_000_000
#: Entries that are read at once: a few milliseconds of work.
PAGE_SIZE = 200
#: Waiting for the statement that is being made, and making one, may last so long.
TURN_SECONDS_MAX = 5
SECONDS_MAX = 30

Span = tuple[UUID, int, int]

ONE_INSTANT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"

SELECT_PAYER = """
SELECT COALESCE((SELECT billing_account_id FROM accounts WHERE account_id = %(id)s), %(id)s)"""

# The last entry before an instant is one probe of the index by time.
SELECT_LAST = """
SELECT originator_version, topic, state, entry_hash FROM ledger_entries
WHERE originator_id = %s AND recorded_at < %s
ORDER BY recorded_at DESC, originator_version DESC LIMIT 1"""

SELECT_FROZEN = """
SELECT closing_version, closing_posted_micros, closing_reserved_micros, closing_limit_micros
FROM month_positions WHERE month = %s AND account_id = %s"""

SELECT_ENTRIES = """
SELECT originator_version, recorded_at, topic, state FROM ledger_entries
WHERE originator_id = %s AND originator_version > %s AND originator_version <= %s
ORDER BY originator_version"""

#: A server that is slow ends what a client that went away would wait for.
_OPTIONS = (
    f"{KEPT_ALIVE} -c statement_timeout=10s -c idle_in_transaction_session_timeout=10s"
    " -c default_transaction_read_only=on"
)


Clock = Callable[[psycopg.AsyncConnection[Any]], Awaitable[datetime]]


async def database_time(connection: psycopg.AsyncConnection[Any]) -> datetime:
    """Return the time of the database, by which entries are recorded."""
    [[now]] = await _all(connection, SELECT_TIME, ())
    assert isinstance(now, datetime), "a clock tells the time"
    return now


class OpenStatements:
    """Makes statements of what happened so far, one at a time."""

    def __init__(
        self,
        database_url: str,
        read_time: Clock = database_time,
        *,
        entries_max: int = ENTRIES_MAX,
        turn_seconds_max: float = TURN_SECONDS_MAX,
    ) -> None:
        self._database_url = database_url
        self._turn_seconds_max = turn_seconds_max
        self._read_time = read_time
        self._entries_max = entries_max
        self._turn = asyncio.Lock()

    async def statement(self, account_id: UUID, month: str) -> bytes:
        """Return the document of a month that is not closed, as of now.

        Raises MonthNotClosed, StatementNotFound or ReadsUnavailable.
        """
        try:
            async with self._one_at_a_time(), asyncio.timeout(SECONDS_MAX):
                return await self._made(account_id, month)
        except TimeoutError as slow:
            msg = "Making the statement took too long; list the ledger entries, or ask again."
            raise ReadsUnavailable(msg) from slow
        except (psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise ReadsUnavailable(msg) from away

    async def _made(self, account_id: UUID, month: str) -> bytes:
        async with self._connection() as connection, connection.transaction():
            # Nothing is written, so that this holds back no reader of the logs.
            await connection.execute(ONE_INSTANT)
            now = await self._read_time(connection)
            if now < month_bounds(month)[0]:
                raise MonthNotClosed
            [[payer_id]] = await _all(connection, SELECT_PAYER, {"id": account_id})
            last = await _all(connection, SELECT_LAST, (payer_id, month_bounds(month)[1]))
            if not last:
                raise StatementNotFound
            [[version, topic, state, entry_hash]] = last
            opening = await _opening(connection, payer_id, month)
            if version - opening.version > self._entries_max:
                raise MonthNotClosed(_too_many(self._entries_max))
            builder = StatementBuilder(month, payer_id, opening)
            span = (payer_id, opening.version, version)
            await read_entries(connection, span, builder, page_size=PAGE_SIZE)
        closing = position_after(version, EventMapper.read(topic, state))
        made = builder.build(closing, bytes(entry_hash), as_of=now)
        if account_id not in made:
            raise StatementNotFound
        return encode_statement(made[account_id])

    @asynccontextmanager
    async def _one_at_a_time(self) -> AsyncIterator[None]:
        async with asyncio.timeout(self._turn_seconds_max):
            await self._turn.acquire()
        try:
            yield
        finally:
            self._turn.release()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        connection = await psycopg.AsyncConnection.connect(
            self._database_url,
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            options=_OPTIONS,
            application_name="semalink-statement-so-far",
            **KEEPALIVES,
        )
        async with connection:
            yield connection


async def read_entries(
    connection: psycopg.AsyncConnection[Any],
    span: Span,
    builder: StatementBuilder,
    *,
    page_size: int,
) -> None:
    """Take the entries after one version of an account up to another in, a page at a time."""
    _, after, last = span
    if last <= after:
        return
    async with connection.cursor("entries") as cursor:
        await cursor.execute(SELECT_ENTRIES, span)
        while page := await cursor.fetchmany(page_size):
            for version, recorded_at, topic, state in page:
                builder.add(version, recorded_at, EventMapper.read(topic, state))


async def _opening(
    connection: psycopg.AsyncConnection[Any], account_id: UUID, month: str
) -> Position:
    """Return where an account stood at the end of the month before, closed or not."""
    start, _ = month_bounds(month)
    before = month_of(start - timedelta(days=1))
    for row in await _all(connection, SELECT_FROZEN, (before, account_id)):
        return Position(*row)
    for version, topic, state, _ in await _all(connection, SELECT_LAST, (account_id, start)):
        return position_after(version, EventMapper.read(topic, state))
    return NOTHING


def _too_many(entries_max: int) -> str:
    return (
        f"This month is not closed, and has more than {entries_max:,} entries so far: list them "
        "at GET /v1/ledger/entries, or ask again when it is closed."
    )


async def _all(connection: psycopg.AsyncConnection[Any], statement: str, values: Any) -> list[Any]:
    cursor = await connection.execute(statement.encode(), values)
    return await cursor.fetchall()
