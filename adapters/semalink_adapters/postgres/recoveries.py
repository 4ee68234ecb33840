"""The tables of recoveries, as their runner works through them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from semalink.application.recovering import AHEAD_SECONDS, RecoveryJob
from semalink.application.webhook_recovery import RecoveryItem
from semalink.domain.event_types import matches
from semalink.domain.ids import EVENT_PREFIX
from semalink.domain.recovery import Counts, RecoveryMode, Wanted
from semalink.domain.webhook_delivery import delivery_id_of
from semalink_adapters.postgres.queries import Queries

#: Recoveries that are given a turn at once; those whose last one is longest ago go first.
JOBS_MAX = 200
#: Events that are looked through in one transaction.
MATCH_PAGE = 2_000
#: Nobody's clock is further from the database's: events are looked for so long before and after.
MATCH_MARGIN = timedelta(hours=1)
#: Space of the locks under which one runner at a time looks the feed of a recovery through.
MATCHING_LOCKS = 7_230_050


#: What became of a delivery that is sent again: it was given up, or only a later attempt is due.
_MISSED = frozenset({"failed", "cancelled", "failing"})

# Not what was all sent and waits for its end: nothing is to be done before the last one ended.
UNDER_WAY = """
SELECT recovery_id, account_id, endpoint_id, mode, since, until, event_types,
       rate_per_second, matched_at IS NOT NULL
FROM recoveries
WHERE state = 'running' AND (
    matched_at IS NULL OR matched_count > sent_count + skipped_count
    OR matched_count = delivered_count + failed_count + skipped_count)
ORDER BY turn_at NULLS FIRST LIMIT %s"""

TAKE_TURN = """
UPDATE recoveries AS r SET turn_at = clock_timestamp()
FROM (
    SELECT recovery_id, turn_at FROM recoveries WHERE recovery_id = %(id)s FOR UPDATE
) AS before
WHERE r.recovery_id = before.recovery_id
    AND (before.turn_at IS NULL
         OR before.turn_at <= clock_timestamp() - make_interval(secs => %(pause_ms)s / 1000.0))
RETURNING (1000 * COALESCE(EXTRACT(epoch FROM r.turn_at - before.turn_at), 1))::bigint"""

# Not FOR UPDATE: that gives the transaction its id before it has looked a page through, and
# whoever holds one holds back all readers of the logs (ADR-0007).
TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))"

SELECT_MATCHING = """
SELECT matched_sequence FROM recoveries WHERE recovery_id = %s AND matched_at IS NULL"""

# The numbers of an account have no gaps and are recorded in their order, so that halving finds
# the last one that was recorded before a moment.
SEQUENCE_BEFORE = """
WITH RECURSIVE asked (low, high) AS (
    SELECT (SELECT sequence FROM account_events WHERE account_id = %(account_id)s
            ORDER BY sequence LIMIT 1) - 1,
           (SELECT sequence FROM account_events WHERE account_id = %(account_id)s
            ORDER BY sequence DESC LIMIT 1) + 1
    UNION ALL
    SELECT CASE WHEN middle.is_before THEN (low + high) / 2 ELSE low END,
           CASE WHEN middle.is_before THEN high ELSE (low + high) / 2 END
    FROM asked, LATERAL (
        SELECT EXISTS (
            SELECT FROM account_events AS a
            WHERE a.account_id = %(account_id)s AND a.sequence = (low + high) / 2
                AND a.recorded_at < %(moment)s
        ) AS is_before
    ) AS middle
    WHERE high - low > 1
)
SELECT coalesce(max(low), 0) FROM asked"""

# In the order of the feed, so that a page is never looked through twice.
NEXT_EVENTS = """
SELECT sequence, event_id, name, occurred_at FROM account_events
WHERE account_id = %s AND sequence > %s ORDER BY sequence LIMIT %s"""

SELECT_STATES = """
SELECT d.delivery_id,
       CASE WHEN d.state = 'waiting' AND d.round_attempts > 0 THEN 'failing' ELSE d.state END
FROM unnest(%s::uuid[]) AS asked (id)
JOIN webhook_deliveries AS d ON d.delivery_id = asked.id"""

INSERT_ITEMS = """
INSERT INTO recovery_items (recovery_id, event_sequence, delivery_id, state)
SELECT %s, found.sequence, found.delivery_id, 'matched'
FROM unnest(%s::bigint[], %s::uuid[]) AS found (sequence, delivery_id)"""

NOTE_MATCHED = """
UPDATE recoveries SET matched_count = matched_count + %s, matched_sequence = %s,
       matched_at = CASE WHEN %s THEN clock_timestamp() END
WHERE recovery_id = %s"""

# Untried are those whose round has no attempt yet; only the few of them are ever counted.
ROOM = """
SELECT %(ahead_seconds)s * least(r.rate_per_second, e.rate_per_second) - (
    SELECT count(*) FROM webhook_deliveries AS d
    WHERE d.recovery_id = %(id)s AND d.round_attempts = 0
        AND d.state IN ('waiting', 'issued', 'sending'))
FROM recoveries AS r JOIN webhook_endpoints AS e ON e.endpoint_id = r.endpoint_id
WHERE r.recovery_id = %(id)s"""

DUE = """
SELECT i.delivery_id, i.event_sequence, a.event_id, a.name
FROM recovery_items AS i
JOIN recoveries AS r ON r.recovery_id = i.recovery_id
JOIN account_events AS a ON a.account_id = r.account_id AND a.sequence = i.event_sequence
WHERE i.recovery_id = %s AND i.state = 'matched' ORDER BY i.event_sequence LIMIT %s"""

SKIP = """
WITH skipped AS (
    UPDATE recovery_items SET state = 'skipped'
    WHERE recovery_id = %(id)s AND delivery_id = ANY(%(ids)s) AND state = 'matched'
    RETURNING 1)
UPDATE recoveries AS r SET skipped_count = r.skipped_count + (SELECT count(*) FROM skipped)
WHERE r.recovery_id = %(id)s AND EXISTS (SELECT FROM skipped)"""

# What was dropped from the feed since it was found can be sent no more.
SKIP_DROPPED = """
WITH skipped AS (
    UPDATE recovery_items AS i SET state = 'skipped'
    FROM recoveries AS r
    WHERE i.recovery_id = %(id)s AND i.state = 'matched' AND r.recovery_id = i.recovery_id
        AND NOT EXISTS (SELECT FROM account_events AS a
                        WHERE a.account_id = r.account_id AND a.sequence = i.event_sequence)
    RETURNING 1)
UPDATE recoveries AS r SET skipped_count = r.skipped_count + (SELECT count(*) FROM skipped)
WHERE r.recovery_id = %(id)s AND EXISTS (SELECT FROM skipped)"""

SELECT_COUNTS = """
SELECT matched_count, sent_count, delivered_count, failed_count, skipped_count
FROM recoveries WHERE recovery_id = %s"""


class PostgresRecoveries(Queries):
    """A RecoveryBook over a pool; raises ReadsUnavailable while the database is away."""

    def __init__(self, pool: AsyncConnectionPool[Any], *, match_page: int = MATCH_PAGE) -> None:
        super().__init__(pool)
        self._match_page = match_page

    async def under_way(self) -> Sequence[RecoveryJob]:
        """Return the recoveries that run and have something to find, to send or to complete."""
        return [_job(row) for row in await self._all(UNDER_WAY, (JOBS_MAX,))]

    async def take_turn(self, recovery_id: UUID, pause_ms: int) -> int | None:
        """Return the milliseconds since the last turn of any runner; None when too few."""
        asked = {"id": recovery_id, "pause_ms": pause_ms}
        rows = await self._all(TAKE_TURN, asked)
        return rows[0][0] if rows else None

    async def match(self, job: RecoveryJob) -> None:
        """Look one more page of the feed through for events that are to be sent."""
        async with self._connection() as connection, connection.transaction():
            lock = (MATCHING_LOCKS, job.recovery_id.hex)
            locked = await (await connection.execute(TRY_LOCK, lock)).fetchone()
            cursor = await connection.execute(SELECT_MATCHING, (job.recovery_id,))
            row = await cursor.fetchone()
            if locked is not None and locked[0] and row is not None:
                behind = row[0] or await _sequence_before(connection, job)
                await self._match_page_behind(connection, job, behind)

    async def due(self, recovery_id: UUID, limit: int) -> Sequence[RecoveryItem]:
        """Return what was found and not sent yet, oldest first."""
        asked = {"id": recovery_id, "ahead_seconds": AHEAD_SECONDS}
        [(room,)] = await self._all(ROOM, asked)
        if room <= 0:
            return []
        rows = await self._all(DUE, (recovery_id, min(limit, room)))
        if not rows:
            await self._execute(SKIP_DROPPED, {"id": recovery_id})
        return [_item(row) for row in rows]

    async def skip(self, recovery_id: UUID, delivery_ids: Sequence[UUID]) -> None:
        """Note of events that nothing had to be sent."""
        await self._execute(SKIP, {"id": recovery_id, "ids": list(delivery_ids)})

    async def counts(self, recovery_id: UUID) -> Counts:
        """Return how far all of it is; what ends is counted with the event that ends it."""
        [row] = await self._all(SELECT_COUNTS, (recovery_id,))
        return Counts(*row)

    async def _match_page_behind(
        self, connection: psycopg.AsyncConnection[Any], job: RecoveryJob, sequence: int
    ) -> None:
        asked = (job.account_id, sequence, self._match_page)
        page = await (await connection.execute(NEXT_EVENTS, asked)).fetchall()
        wanted = {
            delivery_id_of(event_id, at, job.wanted.endpoint_id): number
            for number, event_id, name, at in page
            if job.wanted.since <= at < job.wanted.until
            and any(matches(pattern, name) for pattern in job.wanted.event_types)
        }
        cursor = await connection.execute(SELECT_STATES, (list(wanted),))
        states = dict(await cursor.fetchall())
        found = [
            (number, delivery_id)
            for delivery_id, number in wanted.items()
            if _is_missed(job.wanted.mode, states.get(delivery_id))
        ]
        numbers, ids = [one for one, _ in found], [one for _, one in found]
        await connection.execute(INSERT_ITEMS, (job.recovery_id, numbers, ids))
        is_past = all(at >= job.wanted.until + MATCH_MARGIN for _, _, _, at in page)
        is_last = is_past or len(page) < self._match_page
        last = page[-1][0] if page else sequence
        await connection.execute(NOTE_MATCHED, (len(found), last, is_last, job.recovery_id))

    async def _execute(self, statement: str, parameters: Any) -> None:
        async with self._connection() as connection:
            await connection.execute(statement, parameters)


async def _sequence_before(connection: psycopg.AsyncConnection[Any], job: RecoveryJob) -> int:
    moment = job.wanted.since - MATCH_MARGIN
    asked = {"account_id": job.account_id, "moment": moment}
    row = await (await connection.execute(SEQUENCE_BEFORE, asked)).fetchone()
    return int(row[0]) if row else 0


def _is_missed(mode: RecoveryMode, state: str | None) -> bool:
    if mode is RecoveryMode.MISSING:
        return state is None
    return state in _MISSED


def _job(row: Any) -> RecoveryJob:
    recovery_id, account_id, endpoint_id, mode, since, until, types, rate, is_matched = row
    wanted = Wanted(endpoint_id, RecoveryMode(mode), since, until, tuple(types), rate)
    return RecoveryJob(recovery_id, account_id, wanted, is_matched)


def _item(row: Any) -> RecoveryItem:
    delivery_id, sequence, event_id, name = row
    # The id of an event of a message begins with the message's: "evt_<hex>_<version>".
    is_messages = name.startswith("message.")
    message_id = UUID(hex=event_id.removeprefix(EVENT_PREFIX)[:32]) if is_messages else None
    return RecoveryItem(delivery_id, sequence, event_id, name, message_id)
