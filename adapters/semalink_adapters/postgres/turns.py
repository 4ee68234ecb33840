"""Whose messages wait for a turn, and which of them the queue must hold."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg

from semalink.application.outbox import PendingJob
from semalink.application.submission import Job
from semalink_adapters.postgres.outbox import STATEMENT_SECONDS_MAX

# What is put off and due would enter the queue now as well.
HOLD = """
UPDATE pending_submissions SET state = 'waiting', due_at = NULL
WHERE message_id = ANY(%b)
  AND (state = 'queued' OR (state = 'postponed' AND due_at <= now()))"""

# One probe of the index for each account.
ACCOUNTS_WAITING = """
WITH RECURSIVE found AS (
    (SELECT account_id FROM pending_submissions
     WHERE state = 'waiting' ORDER BY account_id LIMIT 1)
    UNION ALL
    SELECT (SELECT p.account_id FROM pending_submissions AS p
            WHERE p.state = 'waiting' AND p.account_id > found.account_id
            ORDER BY p.account_id LIMIT 1)
    FROM found WHERE found.account_id IS NOT NULL
)
SELECT account_id FROM found WHERE account_id IS NOT NULL"""

FIRST_WAITING = """
SELECT first.message_id, first.account_id, first.billing_account_id, first.lane, first.round
FROM unnest(%b::uuid[], %b::int[]) AS turn (account_id, room)
CROSS JOIN LATERAL (
    SELECT * FROM pending_submissions AS p
    WHERE p.state = 'waiting' AND p.account_id = turn.account_id
    ORDER BY p.message_id LIMIT turn.room
) AS first"""

# Published before: a worker may have it in its hands, and two that lock many rows must not wait for
# one another. What is left out is dealt out once more, which the broker notices.
DEALT_OUT = """
UPDATE pending_submissions SET state = 'queued', queued_at = now()
WHERE message_id IN (
    SELECT message_id FROM pending_submissions
    WHERE message_id = ANY(%b) AND state = 'waiting' FOR UPDATE SKIP LOCKED)"""

STILL_QUEUED = """
SELECT message_id FROM pending_submissions WHERE message_id = ANY(%b) AND state = 'queued'"""

# The oldest that are queued and that the relay has read in the log.
PUBLISHED_BEFORE = """
SELECT p.account_id, p.message_id
FROM cursors AS c
CROSS JOIN (
    SELECT account_id, message_id FROM pending_submissions
    WHERE state = 'queued' AND lane = 'normal' ORDER BY message_id LIMIT %s
) AS p
JOIN message_events AS e ON e.originator_id = p.message_id AND e.originator_version = 1
WHERE c.name = 'relay.messages' AND (e.xid, e.notification_id) <= (c.xid, c.position)"""

COUNT_WAITING = "SELECT count(*) FROM pending_submissions WHERE state = 'waiting'"


class PostgresTurns:
    """The turns over the connection of the relay that leads."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def hold(self, message_ids: Sequence[UUID]) -> None:
        """Make messages wait that would enter the queue now."""
        await self._execute(HOLD, (list(message_ids),))

    async def accounts_waiting(self) -> Sequence[UUID]:
        """Return the accounts of which messages wait, in id order."""
        return [row[0] for row in await self._all(ACCOUNTS_WAITING, ())]

    async def first_waiting(self, rooms: Mapping[UUID, int]) -> Sequence[PendingJob]:
        """Return the first messages that wait of each account, so many of each, in id order."""
        rows = await self._all(FIRST_WAITING, (list(rooms), list(rooms.values())))
        return [
            PendingJob(Job(message_id, account_id, billing_account_id), lane, times)
            for message_id, account_id, billing_account_id, lane, times in rows
        ]

    async def dealt_out(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages that waited as being in the queue."""
        await self._execute(DEALT_OUT, (list(message_ids),))

    async def still_queued(self, message_ids: Sequence[UUID]) -> Collection[UUID]:
        """Return those that a queue must hold."""
        return {row[0] for row in await self._all(STILL_QUEUED, (list(message_ids),))}

    async def count_waiting(self) -> int:
        """Count the messages that wait for a turn."""
        [(count,)] = await self._all(COUNT_WAITING, ())
        return int(count)

    async def published_before(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Return account and message of what a relay before this one left in the queue."""
        rows = await self._all(PUBLISHED_BEFORE, (limit,))
        return [(row[0], row[1]) for row in rows]

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(
                statement, parameters, prepare=True, binary=True
            )
            return await cursor.fetchall()

    async def _execute(self, statement: str, parameters: Any) -> None:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            await self._connection.execute(statement, parameters)
