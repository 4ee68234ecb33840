"""Dead letters in PostgreSQL: what the relay stores, publishes again and works off in bulk."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady
from semalink.application.dead_letters import Burial
from semalink.application.submission import Job

#: One relay at a time publishes what was republished, and works bulk actions off.
DEAD_LETTER_LOCK = 7_230_009

STORE = """
INSERT INTO dead_letters (
    dead_letter_id, buried_as, queue, subject, error_type, error, delivery_count, first_at,
    last_at, message_id, redrive_count, about, payload, headers)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING"""

SELECT_IDS = "SELECT buried_as, dead_letter_id FROM dead_letters WHERE buried_as = ANY(%s)"

SELECT_REPUBLISHING = """
SELECT dead_letter_id, subject, coalesce(edited_payload, payload), headers, message_id,
       redrive_count, republished_count
FROM dead_letters WHERE state = 'republishing' ORDER BY dead_letter_id LIMIT %s"""

# One that was decided again meanwhile has another number, and stays.
MARK_REPUBLISHED = """
UPDATE dead_letters AS d SET state = 'republished'
FROM unnest(%s::uuid[], %s::integer[]) AS done (id, number)
WHERE d.dead_letter_id = done.id AND d.republished_count = done.number
  AND d.state = 'republishing'"""

SELECT_RUNNING_JOBS = """
SELECT job_id, action, rate_per_second, reason, started_by
FROM dead_letter_jobs WHERE state = 'running' ORDER BY job_id LIMIT 20"""

# The job is read with the letters, so that a cancelled one gives none.
SELECT_LETTERS_OF_JOB = """
SELECT d.dead_letter_id, d.about FROM dead_letter_jobs AS j JOIN dead_letters AS d
    ON d.state = 'waiting' AND d.recorded_at <= j.recorded_until
    AND (j.queue IS NULL OR d.queue = j.queue)
    AND (j.error_type IS NULL OR d.error_type = j.error_type)
    AND (j.older_than_seconds IS NULL
         OR d.last_at < j.started_at - make_interval(secs => j.older_than_seconds))
    AND (j.newer_than_seconds IS NULL
         OR d.last_at >= j.started_at - make_interval(secs => j.newer_than_seconds))
WHERE j.job_id = %s AND j.state = 'running'
ORDER BY d.dead_letter_id LIMIT %s"""

# Parked by whoever gave it up, and nothing that an operator could see or has decided about.
SELECT_UNSEEN = """
SELECT p.message_id, p.account_id, p.billing_account_id, p.campaign_id,
       CASE WHEN p.lane = 'bulk' THEN 'normal' ELSE p.lane END, p.round, p.queued_at
FROM pending_submissions AS p
WHERE p.state = 'parked' AND NOT EXISTS (
    SELECT FROM dead_letters AS d
    WHERE d.about = 'msg_' || replace(p.message_id::text, '-', '') AND d.state <> 'republished'
)
ORDER BY p.message_id LIMIT %s"""

# Stored by whoever died, or lost the database, before the event was recorded.
SELECT_ARRIVING = """
SELECT dead_letter_id, buried_as, queue, subject, error_type, error, delivery_count, first_at,
       last_at, message_id, redrive_count, about, payload, headers
FROM dead_letters WHERE state = 'arriving' ORDER BY dead_letter_id LIMIT %s"""

MEASURE = """
SELECT queue, count(*), extract(epoch FROM now() - min(last_at))::float8
FROM dead_letters WHERE state = 'waiting' GROUP BY queue"""

_AWAY = (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)


@dataclass(frozen=True, slots=True)
class Republishing:
    """A dead letter that was decided to go round again and that the broker may not have yet."""

    letter_id: UUID
    subject: str
    payload: bytes
    headers: Mapping[str, str]
    message_id: str
    redrive_count: int
    number: int


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A bulk action that is not over."""

    job_id: UUID
    action: str
    rate_per_second: int
    reason: str | None
    started_by: str


@dataclass(frozen=True, slots=True)
class Parked:
    """A message that was given up and of which there is no dead letter."""

    job: Job
    lane: str
    round: int
    queued_at: datetime


class DeadLetterWork:
    """The relay's statements on dead letters; each raises NotReady while the database is away."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def store(self, burials: Sequence[Burial]) -> Mapping[str, UUID]:
        """Store dead letters that are not stored yet; return under which id each is.

        Nobody sees them before their event.
        """
        rows = [
            (
                one.letter_id, one.buried_as, one.queue, one.subject, one.error_type, one.error,
                one.delivery_count, one.first_at, one.last_at, one.message_id, one.redrive_count,
                one.about, one.payload, Jsonb(dict(one.headers)),
            )
            for one in burials
        ]  # fmt: skip
        async with self._connection() as connection, connection.cursor() as cursor:
            await cursor.executemany(STORE, rows)
            await cursor.execute(SELECT_IDS, ([one.buried_as for one in burials],))
            return dict(await cursor.fetchall())

    async def republishing(self, limit: int) -> Sequence[Republishing]:
        """Return what was decided and may not be at the broker yet."""
        return [Republishing(*row) for row in await self._all(SELECT_REPUBLISHING, (limit,))]

    async def mark_republished(self, done: Sequence[Republishing]) -> None:
        """Record that the broker has them."""
        parameters = ([one.letter_id for one in done], [one.number for one in done])
        async with self._connection() as connection:
            await connection.execute(MARK_REPUBLISHED, parameters)

    async def running_jobs(self) -> Sequence[RunningJob]:
        """Return bulk actions that are not over, oldest first."""
        return [RunningJob(*row) for row in await self._all(SELECT_RUNNING_JOBS, ())]

    async def letters_of_job(self, job_id: UUID, limit: int) -> Sequence[tuple[UUID, str | None]]:
        """Return what a bulk action has still to do, with what each is about."""
        rows = await self._all(SELECT_LETTERS_OF_JOB, (job_id, limit))
        return [(letter_id, about) for letter_id, about in rows]

    async def unseen(self, limit: int) -> Sequence[Parked]:
        """Return messages that were given up and of which there is no dead letter."""
        rows = await self._all(SELECT_UNSEEN, (limit,))
        return [Parked(Job(*row[:4]), *row[4:]) for row in rows]

    async def arriving(self, limit: int) -> Sequence[Burial]:
        """Return what is stored and of which no event is recorded, so that nobody sees it."""
        return [Burial(*row) for row in await self._all(SELECT_ARRIVING, (limit,))]

    async def measure(self) -> Mapping[str, tuple[int, float]]:
        """Return how many wait of each queue, and the age of the oldest in seconds."""
        return {queue: (count, age) for queue, count, age in await self._all(MEASURE, ())}

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        async with self._connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except _AWAY as away:
            msg = "The database is away."
            raise NotReady(msg) from away
