"""The list of awaited reports in PostgreSQL: what is due, and what was waited for long enough."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.awaited_reports import DueQuestion
from semalink.application.bus import NotReady
from semalink.application.submission import Job

# Whoever finds that something is due pays for the second, so that all workers together ask no more
# than one may. What is claimed is asked for again when its answer never came.
CLAIM_DUE = """
WITH paid AS (
    INSERT INTO report_poll_pace AS p (aggregator, next_at)
    SELECT %(aggregator)s, now() + interval '1 second'
    WHERE EXISTS (
        SELECT FROM awaited_reports WHERE aggregator = %(aggregator)s AND next_poll_at <= now())
    ON CONFLICT (aggregator) DO UPDATE SET next_at = excluded.next_at WHERE p.next_at <= now()
    RETURNING aggregator
), due AS (
    SELECT message_id FROM awaited_reports
    WHERE aggregator = (SELECT aggregator FROM paid) AND next_poll_at <= now()
    ORDER BY next_poll_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
UPDATE awaited_reports AS a SET next_poll_at = now() + interval '5 minutes'
FROM due WHERE a.message_id = due.message_id
RETURNING a.message_id, a.reference, a.submitted_at, a.last_state, a.polls"""

NOTE_ASKED = """
UPDATE awaited_reports SET polls = %s, next_poll_at = %s WHERE message_id = %s"""

# Each worker takes a page of its own. What it does not get done comes up again.
CLAIM_OVERDUE = """
WITH page AS (
    SELECT message_id FROM awaited_reports
    WHERE submitted_at < %s AND (claimed_until IS NULL OR claimed_until <= now())
    ORDER BY submitted_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE awaited_reports AS a SET claimed_until = now() + interval '1 minute'
FROM page WHERE a.message_id = page.message_id
RETURNING a.message_id, a.account_id, a.billing_account_id, a.aggregator"""

FORGET = "DELETE FROM awaited_reports WHERE message_id = %s"

COUNT_AWAITED = "SELECT aggregator, count(*) FROM awaited_reports GROUP BY aggregator"

_AWAY = (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)


class PostgresAwaitedReports:
    """AwaitedReports over a pool."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _AWAY as away:
            msg = "The database is away."
            raise NotReady(msg) from away

    async def claim_due(self, aggregator: str, limit: int) -> Sequence[DueQuestion]:
        """Return what is due and keep it from others for a while; once a second over all."""
        asked = {"aggregator": aggregator, "limit": limit}
        async with self._connection() as connection:
            rows = await (await connection.execute(CLAIM_DUE, asked)).fetchall()
        return [DueQuestion(*row) for row in rows]

    async def note_asked(self, message_id: UUID, polls: int, next_poll_at: datetime | None) -> None:
        """Remember that an answer came, and when to ask again."""
        async with self._connection() as connection:
            await connection.execute(NOTE_ASKED, (polls, next_poll_at, message_id))

    async def claim_overdue(
        self, submitted_before: datetime, limit: int
    ) -> Sequence[tuple[Job, str]]:
        """Return messages submitted before then and keep them from others for a minute."""
        async with self._connection() as connection:
            cursor = await connection.execute(CLAIM_OVERDUE, (submitted_before, limit), binary=True)
            return [(Job(*row[:3]), row[3]) for row in await cursor.fetchall()]

    async def forget(self, message_id: UUID) -> None:
        """Take a message off the list that no longer exists."""
        async with self._connection() as connection:
            await connection.execute(FORGET, (message_id,))

    async def count(self) -> Mapping[str, int]:
        """Return how many reports are awaited of each aggregator; raises NotReady."""
        async with self._connection() as connection:
            return dict(await (await connection.execute(COUNT_AWAITED)).fetchall())
