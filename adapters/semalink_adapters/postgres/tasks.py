"""Tasks in PostgreSQL: as their publisher and as the workers see them."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady
from semalink.application.tasks import QueueMark, Task, WaitingTask
from semalink_adapters.postgres.outbox import STATEMENT_SECONDS_MAX
from semalink_adapters.postgres.task_changes import PARK_TASK, add_task, end_task

#: Only the publisher that holds this lock publishes tasks.
TASK_LOCK = 7_230_015

#: How long a parked task may be without its dead letter, which arrives over the broker.
PARKED_SECONDS_MAX = 120.0

WAITING = """
SELECT task_id, queue, kind, round FROM tasks
WHERE state = 'waiting' ORDER BY created_at, task_id LIMIT %s"""

PUBLISHED = """
UPDATE tasks SET state = 'queued', published_at = now()
WHERE task_id = ANY(%s) AND state = 'waiting'"""

TAKE_BACK_LOST = """
UPDATE tasks SET state = 'waiting', round = round + 1
WHERE queue = %s AND state = 'queued'
  AND (published_at < %s OR (%s AND published_at < now() - make_interval(secs => %s)))"""

TAKE_BACK_PARKED = """
UPDATE tasks AS t SET state = 'waiting', round = round + 1
WHERE t.queue = %s AND t.state = 'parked'
  AND t.published_at < now() - make_interval(secs => %s)
  AND NOT EXISTS (
    SELECT FROM dead_letters AS d
    WHERE d.about = 'task_' || replace(t.task_id::text, '-', '') AND d.state <> 'republished'
  )"""

MEASURE = """
SELECT queue, count(*),
       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state <> 'parked')), 0)
           ::float8
FROM tasks GROUP BY queue"""

FIND = "SELECT task_id, queue, kind, account_id, payload FROM tasks WHERE task_id = %s"

_AWAY = (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)


async def call_for_task(connection: psycopg.AsyncConnection[Any], task: Task) -> None:
    """Ask for a task in the transaction that the connection is in."""
    await connection.execute(*add_task(task))


async def take_task(connection: psycopg.AsyncConnection[Any], task_id: UUID) -> bool:
    """End a task in the transaction of its effect; False when another worker did it before.

    Called first, it makes a second worker wait for the outcome of the first one.
    """
    return (await connection.execute(*end_task(task_id))).rowcount == 1


class PostgresTaskBook:
    """The book of the publisher, over a connection of its own, as long as it holds the lock."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def try_lead(self) -> bool:
        """Become the one publisher if there is no other."""
        [row] = await self._all("SELECT pg_try_advisory_lock(%s)", (TASK_LOCK,))
        return bool(row[0])

    async def waiting(self, limit: int) -> Sequence[WaitingTask]:
        """Return tasks that the broker must be given, oldest first."""
        return [WaitingTask(*row) for row in await self._all(WAITING, (limit,))]

    async def published(self, task_ids: Sequence[UUID]) -> None:
        """Record that the broker has them."""
        await self._execute(PUBLISHED, (list(task_ids),))

    async def take_back_lost(self, mark: QueueMark, missing_seconds: float) -> int:
        """Have tasks published again that the broker has lost; return how many."""
        lost = await self._execute(
            TAKE_BACK_LOST, (mark.queue, mark.created_at, mark.is_empty, missing_seconds)
        )
        return lost + await self._execute(TAKE_BACK_PARKED, (mark.queue, PARKED_SECONDS_MAX))

    async def measure(self) -> Mapping[str, tuple[int, float]]:
        """Return how many tasks of each queue are undone, and the age of the oldest."""
        return {queue: (count, age) for queue, count, age in await self._all(MEASURE, ())}

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(statement, parameters, prepare=True)
            return await cursor.fetchall()

    async def _execute(self, statement: str, parameters: Any) -> int:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(statement, parameters, prepare=True)
            return cursor.rowcount


class PostgresTasks:
    """Tasks as a worker sees them; each call raises NotReady while the database is away."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def find(self, task_id: UUID) -> Task | None:
        """Return a task; None when it is done."""
        async with self._connection() as connection:
            cursor = await connection.execute(FIND, (task_id,))
            row = await cursor.fetchone()
        return None if row is None else Task(*row)

    async def park(self, task_id: UUID) -> None:
        """Have nobody publish it again by itself; its dead letter may."""
        async with self._connection() as connection:
            await connection.execute(PARK_TASK, (task_id,))

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        async with ready_connection(self._pool) as connection:
            yield connection


@asynccontextmanager
async def ready_connection(
    pool: AsyncConnectionPool[Any],
) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Give a connection for the work of a task; raises NotReady while the database is away.

    A statement that took too long is an ordinary failure, counted and given up: waiting for a
    better time would keep the worker from everybody else's work for ever.
    """
    try:
        async with pool.connection() as connection:
            yield connection
    except psycopg.errors.QueryCanceled:
        raise
    except _AWAY as away:
        msg = "The database is away."
        raise NotReady(msg) from away
