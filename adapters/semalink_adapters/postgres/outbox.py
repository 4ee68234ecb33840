"""The outbox: what the logs and the work list say must be in the broker."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from semalink.application.outbox import JobPage, PendingJob, Position, ReportPage, StreamMark
from semalink.application.submission import Job
from semalink_adapters.postgres.sessions import SET_LOOK_UP_BY_KEY

#: Only the relay that holds this lock reads and moves the cursors.
RELAY_LOCK = 7_230_003

#: What takes longer is answered by nobody: the server hangs.
STATEMENT_SECONDS_MAX = 10.0

# Bounded by the oldest transaction that may still commit: a later commit never lies behind the
# cursor (ADR-0007). Ordered by the column behind its table's name: a bare ``xid`` would be the text
# that is selected, and "1000" sorts before "999". Other events are read past without their state.
NEXT_JOBS = """
SELECT xid::text, notification_id, recorded_at,
       CASE WHEN topic = 'message.accepted.1' THEN state END, originator_id
FROM message_events AS e
WHERE (e.xid, e.notification_id) > (%s::xid8, %s)
  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.notification_id LIMIT %s"""

# What came through the broker is stored by its worker as being in the queue, and what is done is on
# the work list no more: both are read past, as a poison report would become two dead letters.
NEXT_REPORTS = """
SELECT xid::text, position, report_id,
       (SELECT p.refilled_at IS NULL FROM pending_reports AS p WHERE p.report_id = r.report_id)
FROM inbound_reports AS r
WHERE (r.xid, r.position) > (%s::xid8, %s)
  AND r.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY r.xid, r.position LIMIT %s"""

OLDEST_JOB = """
SELECT recorded_at FROM message_events AS e
WHERE (e.xid, e.notification_id) > (%s::xid8, %s) AND topic = 'message.accepted.1'
ORDER BY e.xid, e.notification_id LIMIT 1"""

READ_CURSOR = "SELECT xid::text, position FROM cursors WHERE name = %s"

MOVE_CURSOR = """
INSERT INTO cursors (name, xid, position) VALUES (%s, %s::xid8, %s)
ON CONFLICT (name) DO UPDATE
SET xid = excluded.xid, position = excluded.position, moved_at = now()"""

_JOB_COLUMNS = "message_id, account_id, billing_account_id, campaign_id, lane, round"

DUE_JOBS = f"""
SELECT {_JOB_COLUMNS} FROM pending_submissions
WHERE state = 'postponed' AND due_at <= now() AND lane <> 'bulk' ORDER BY due_at LIMIT %s"""  # noqa: S608

# A worker may have put a message off again before this is written: that one stays put off.
REQUEUED = """
UPDATE pending_submissions SET state = 'queued', due_at = NULL, queued_at = now()
WHERE message_id = ANY(%b)
  AND (state = 'queued' OR (state = 'postponed' AND due_at <= now()))"""

QUEUED_JOBS = f"""
SELECT {_JOB_COLUMNS} FROM pending_submissions
WHERE state = 'queued' AND lane = %s AND message_id > %s
  AND queued_at <= now() - make_interval(secs => %s)
ORDER BY message_id LIMIT %s"""  # noqa: S608

# Of those that were put off once, the broker was told when they were due.
URGENT_JOBS = f"""
SELECT {_JOB_COLUMNS} FROM pending_submissions
WHERE lane = 'priority' AND state = 'queued' AND round = 0 AND message_id > %s
ORDER BY message_id LIMIT %s"""  # noqa: S608

QUEUED_REPORTS = """
SELECT report_id FROM pending_reports
WHERE report_id > %s AND coalesce(refilled_at, received_at) <= now() - make_interval(secs => %s)
ORDER BY report_id LIMIT %s"""

JOBS_REFILLED = """
UPDATE pending_submissions SET queued_at = now(), refills = refills + 1
WHERE message_id = ANY(%b) AND state = 'queued'"""

REPORTS_REFILLED = """
UPDATE pending_reports SET refilled_at = now(), refills = refills + 1
WHERE report_id = ANY(%b)"""

GIVE_UP_JOBS = """
UPDATE pending_submissions SET state = 'parked', due_at = NULL
WHERE state = 'queued' AND lane = %s AND refills >= %s
  AND queued_at <= now() - make_interval(secs => %s)
RETURNING message_id"""

# The report as it came stays where it is stored.
GIVE_UP_REPORTS = """
DELETE FROM pending_reports
WHERE refills >= %s AND refilled_at <= now() - make_interval(secs => %s)
RETURNING report_id"""

COUNT_REPORTS = "SELECT count(*) FROM pending_reports"

READ_STREAM = "SELECT created_at, last_sequence FROM broker_streams WHERE stream = %s"

REMEMBER_STREAM = """
INSERT INTO broker_streams (stream, created_at, last_sequence) VALUES (%s, %s, %s)
ON CONFLICT (stream) DO UPDATE
SET created_at = excluded.created_at, last_sequence = excluded.last_sequence"""

_START = Position("0", 0)


class _Accepted(msgspec.Struct):
    account_id: UUID
    billing_account_id: UUID
    lane: str
    traceparent: str = ""
    campaign_id: UUID | None = None


_accepted_decoder = msgspec.json.Decoder(_Accepted)


class PostgresOutbox:
    """The outbox over one connection, which also holds the relay's lock.

    Raises TimeoutError when the server hangs; the connection is of no use then.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def try_lead(self) -> bool:
        """Take the lock that makes this relay the active one; False when another has it."""
        await self._execute(SET_LOOK_UP_BY_KEY, ())
        [(is_ours,)] = await self._all("SELECT pg_try_advisory_lock(%s)", (RELAY_LOCK,))
        return bool(is_ours)

    async def next_jobs(self, limit: int) -> JobPage:
        """Return accepted messages beyond the cursor."""
        start = await self._cursor("relay.messages")
        rows = await self._all(NEXT_JOBS, (start.xid, start.position, limit))
        if not rows:
            return JobPage((), None, None)
        jobs: list[PendingJob] = []
        oldest_at: datetime | None = None
        for _, _, recorded_at, state, message_id in rows:
            if state is not None:
                accepted = _accepted_decoder.decode(state)
                job = Job(message_id, accepted.account_id, accepted.billing_account_id)
                if accepted.campaign_id is not None:
                    # Campaigns are dealt out in their own time.
                    continue
                jobs.append(PendingJob(job, accepted.lane, 0, accepted.traceparent))
                oldest_at = oldest_at or recorded_at
        end = Position(rows[-1][0], rows[-1][1])
        return JobPage(jobs, end, oldest_at)

    async def urgent_jobs(self, *, after: UUID | None, limit: int) -> Sequence[PendingJob]:
        """Return messages of the priority lane that no aggregator has, in id order."""
        rows = await self._all(URGENT_JOBS, (after or UUID(int=0), limit))
        return [_pending_job(row) for row in rows]

    async def oldest_unpublished_at(self) -> datetime | None:
        """Return when the oldest accepted message beyond the cursor was recorded."""
        start = await self._cursor("relay.messages")
        rows = await self._all(OLDEST_JOB, (start.xid, start.position))
        return rows[0][0] if rows else None

    async def jobs_published(self, end: Position) -> None:
        """Move the cursor of accepted messages."""
        await self._execute(MOVE_CURSOR, ("relay.messages", end.xid, end.position))

    async def next_reports(self, limit: int) -> ReportPage:
        """Return stored reports beyond the cursor."""
        start = await self._cursor("relay.reports")
        rows = await self._all(NEXT_REPORTS, (start.xid, start.position, limit))
        if not rows:
            return ReportPage((), None)
        reports = [row[2] for row in rows if row[3]]
        return ReportPage(reports, Position(rows[-1][0], rows[-1][1]))

    async def reports_published(self, end: Position) -> None:
        """Move the cursor of reports."""
        await self._execute(MOVE_CURSOR, ("relay.reports", end.xid, end.position))

    async def due_jobs(self, limit: int) -> Sequence[PendingJob]:
        """Return messages that were put off and whose time has come."""
        return [_pending_job(row) for row in await self._all(DUE_JOBS, (limit,))]

    async def requeued(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages as being in a queue again."""
        await self._execute(REQUEUED, (list(message_ids),))

    async def lost_stream(self, mark: StreamMark) -> bool:
        """Compare a stream with what it was; True when the broker has lost what was in it."""
        rows = await self._all(READ_STREAM, (mark.stream,))
        if not rows:
            return False
        created_at, last_sequence = rows[0]
        return bool(mark.created_at != created_at or mark.last_sequence < last_sequence)

    async def remember_stream(self, mark: StreamMark) -> None:
        """Store what the stream is now."""
        parameters = (mark.stream, mark.created_at, mark.last_sequence)
        await self._execute(REMEMBER_STREAM, parameters)

    async def queued_jobs(
        self, lane: str, *, after: UUID | None, older_than_seconds: float, limit: int
    ) -> Sequence[PendingJob]:
        """Return messages that a queue must hold, in id order."""
        parameters = (lane, after or UUID(int=0), older_than_seconds, limit)
        return [_pending_job(row) for row in await self._all(QUEUED_JOBS, parameters)]

    async def queued_reports(
        self, *, after: UUID | None, older_than_seconds: float, limit: int
    ) -> Sequence[UUID]:
        """Return reports that are not processed yet, in id order."""
        parameters = (after or UUID(int=0), older_than_seconds, limit)
        return [row[0] for row in await self._all(QUEUED_REPORTS, parameters)]

    async def jobs_refilled(self, message_ids: Sequence[UUID]) -> None:
        """Mark messages as being in a queue again, and count that they had vanished from it."""
        await self._execute(JOBS_REFILLED, (list(message_ids),))

    async def reports_refilled(self, report_ids: Sequence[UUID]) -> None:
        """Mark reports as being in their queue again, and count that they had vanished from it."""
        await self._execute(REPORTS_REFILLED, (list(report_ids),))

    async def give_up_jobs(
        self, lane: str, *, refills: int, older_than_seconds: float
    ) -> Sequence[UUID]:
        """Park messages that vanish from their queue whenever they are put back; return them."""
        rows = await self._all(GIVE_UP_JOBS, (lane, refills, older_than_seconds))
        return [row[0] for row in rows]

    async def give_up_reports(self, *, refills: int, older_than_seconds: float) -> Sequence[UUID]:
        """Strike off reports that vanish whenever they are put back; return them."""
        return [row[0] for row in await self._all(GIVE_UP_REPORTS, (refills, older_than_seconds))]

    async def count_reports(self) -> int:
        """Return how many reports are not processed yet."""
        [(count,)] = await self._all(COUNT_REPORTS, ())
        return int(count)

    async def _cursor(self, name: str) -> Position:
        rows = await self._all(READ_CURSOR, (name,))
        return Position(*rows[0]) if rows else _START

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(
                statement, parameters, prepare=True, binary=True
            )
            return await cursor.fetchall()

    async def _execute(self, statement: str, parameters: Any) -> None:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            await self._connection.execute(statement, parameters)


def _pending_job(row: Any) -> PendingJob:
    message_id, account_id, billing_account_id, campaign_id, lane, times = row
    job = Job(message_id, account_id, billing_account_id, campaign_id)
    return PendingJob(job, lane, times)
