"""Messages of campaigns as the dealer and the workers of bundles see them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from semalink.application.campaign_sending import CampaignRef
from semalink.application.dealing import Sending
from semalink.application.outbox import StreamMark
from semalink_adapters.postgres.outbox import (
    READ_STREAM,
    REMEMBER_STREAM,
    STATEMENT_SECONDS_MAX,
)
from semalink_adapters.postgres.tasks import ready_connection

#: Only the dealer that holds this lock deals out.
DEALER_LOCK = 7_230_042

# Hours are kept by what a check found to be promotional.
SENDING = """
SELECT c.campaign_id, c.account_id, c.billing_account_id,
    (c.plan->>'rate_per_second')::int, (c.plan->>'finish_by')::timestamptz,
    CASE WHEN c.quote->>'sender_class' = 'promotional' AND c.mode = 'live'
         THEN ARRAY(SELECT jsonb_object_keys(c.quote->'by_country') ORDER BY 1)
         ELSE '{}'::text[] END
FROM campaigns AS c
WHERE c.state = 'sending' AND c.settled_at IS NULL
ORDER BY c.campaign_id"""

TAKE_UP_DUE = """
UPDATE pending_submissions SET state = 'held', due_at = NULL
WHERE lane = 'bulk' AND state = 'postponed' AND due_at <= now()"""

HELD = """
SELECT message_id FROM pending_submissions
WHERE campaign_id = %s AND state = 'held' AND message_id > %s
ORDER BY message_id LIMIT %s"""

COUNT_LEFT = "SELECT count(*) FROM pending_submissions WHERE campaign_id = %s AND state = 'held'"

DEALT_OUT = """
UPDATE pending_submissions SET state = 'queued', queued_at = now()
WHERE message_id IN (
    SELECT message_id FROM pending_submissions
    WHERE message_id = ANY(%b) AND state = 'held' FOR UPDATE SKIP LOCKED)
RETURNING message_id"""

TAKE_BACK_LOST = """
UPDATE pending_submissions
SET state = CASE WHEN %s AND refills >= %s THEN 'parked' ELSE 'held' END,
    refills = CASE WHEN %s THEN refills + 1 ELSE refills END
WHERE lane = 'bulk' AND state = 'queued' AND queued_at <= now() - make_interval(secs => %s)"""

HOLD = """
UPDATE pending_submissions SET state = 'held'
WHERE message_id = ANY(%b) AND lane = 'bulk' AND state = 'queued'"""

PUT_OFF = """
UPDATE pending_submissions SET state = 'postponed', due_at = %s
WHERE message_id = ANY(%b) AND lane = 'bulk' AND state IN ('queued', 'held')"""

PARK = """
UPDATE pending_submissions SET state = 'parked', due_at = NULL
WHERE message_id = ANY(%b) AND lane = 'bulk' AND state IN ('queued', 'held', 'postponed')"""


class PostgresDealingBook:
    """A DealingBook over one connection, which also holds the dealer's lock."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        #: How far each campaign was dealt out: what lies before is gone or dead in the index.
        self._after: dict[UUID, UUID] = {}

    async def try_lead(self) -> bool:
        """Become the one dealer if there is no other."""
        [row] = await self._all("SELECT pg_try_advisory_lock(%s)", (DEALER_LOCK,))
        return bool(row[0])

    async def now(self) -> datetime:
        """Return the time of the database, which decides."""
        [[now]] = await self._all("SELECT now()", ())
        assert isinstance(now, datetime), "a time is a time"
        return now

    async def sending(self) -> Sequence[Sending]:
        """Return the campaigns that send and may have something to hand over."""
        rows = await self._all(SENDING, ())
        ids = {row[0] for row in rows}
        self._after = {one: kept for one, kept in self._after.items() if one in ids}
        return [
            Sending(
                CampaignRef(*row[:3]),
                rate_per_second=row[3],
                finish_by=row[4],
                countries=tuple(row[5]),
            )
            for row in rows
        ]

    async def take_up_due(self) -> None:
        """Hold again what was put off and whose time has come."""
        if await self._execute(TAKE_UP_DUE, ()):
            self._after.clear()

    async def held(self, campaign_id: UUID, limit: int) -> Sequence[UUID]:
        """Return messages that wait to be dealt out, oldest first."""
        after = self._after.get(campaign_id, UUID(int=0))
        rows = await self._all(HELD, (campaign_id, after, limit))
        if not rows and after.int:
            # From the start again: pieces are accepted in any order, and some were held again.
            rows = await self._all(HELD, (campaign_id, UUID(int=0), limit))
        self._after[campaign_id] = rows[-1][0] if rows else UUID(int=0)
        return [row[0] for row in rows]

    async def count_left(self, campaign_id: UUID) -> int:
        """Return how many wait to be dealt out."""
        [[count]] = await self._all(COUNT_LEFT, (campaign_id,))
        return int(count)

    async def dealt_out(self, message_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Record that they are on their way; return those that still waited."""
        return [row[0] for row in await self._all(DEALT_OUT, (list(message_ids),))]

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Have them dealt out again, unless a worker began with them."""
        await self._execute(HOLD, (list(message_ids),))
        self._after.clear()

    async def take_back_lost(
        self, mark: StreamMark, *, missing_seconds: float, stale_seconds: float, refills_max: int
    ) -> int:
        """Hold again what the broker lost, park what vanishes each time; return how many."""
        rows = await self._all(READ_STREAM, (mark.stream,))
        lost = bool(rows) and (mark.created_at != rows[0][0] or mark.last_sequence < rows[0][1])
        vanished = not lost and mark.waiting_count == 0
        seconds = 0.0 if lost else missing_seconds if vanished else stale_seconds
        count = await self._execute(TAKE_BACK_LOST, (vanished, refills_max, vanished, seconds))
        if count:
            self._after.clear()
        parameters = (mark.stream, mark.created_at, mark.last_sequence)
        await self._execute(REMEMBER_STREAM, parameters)
        return count

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(statement, parameters, prepare=True)
            return await cursor.fetchall()

    async def _execute(self, statement: str, parameters: Any) -> int:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(statement, parameters, prepare=True)
            return cursor.rowcount


# Bounded: more than the limit is as good as the limit.
COUNT_REPORTS = "SELECT count(*) FROM (SELECT FROM pending_reports LIMIT %s) AS waiting"


class PostgresBundleBook:
    """A BundleBook over a pool."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Have them dealt out again when their campaign may send; raises NotReady."""
        await self._execute(HOLD, (list(message_ids),))

    async def put_off(self, message_ids: Sequence[UUID], until: datetime) -> None:
        """Have them dealt out again after that time; raises NotReady."""
        await self._execute(PUT_OFF, (until, list(message_ids)))

    async def park(self, message_ids: Sequence[UUID]) -> None:
        """Have nobody deal them out again by themselves; raises NotReady."""
        await self._execute(PARK, (list(message_ids),))

    async def count_reports(self, limit: int) -> int:
        """Count reports that wait to be applied, up to the limit; raises NotReady."""
        async with ready_connection(self._pool) as connection:
            cursor = await connection.execute(COUNT_REPORTS, (limit,))
            [(count,)] = await cursor.fetchall()
        return int(count)

    async def _execute(self, statement: str, parameters: Any) -> None:
        async with ready_connection(self._pool) as connection:
            await connection.execute(statement, parameters)
