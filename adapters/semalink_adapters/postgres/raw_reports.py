"""Raw reports into PostgreSQL: whatever is waiting is stored in one statement."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady

BATCH_MAX = 500

#: How many may wait for their batch; what comes on top is for the broker.
WAITING_MAX = 5_000

#: What takes longer is for the broker too: the aggregator waits for our answer meanwhile.
STORE_SECONDS_MAX = 2.0

# One statement and so one transaction: a stored report is always on the work list.
STORE_MANY = """
WITH stored AS (
    INSERT INTO inbound_reports (report_id, aggregator, content_type, body, received_at)
    SELECT * FROM unnest(%b::uuid[], %b::text[], %b::text[], %b::bytea[], %b::timestamptz[])
    RETURNING report_id, received_at
)
INSERT INTO pending_reports (report_id, received_at) SELECT report_id, received_at FROM stored"""

Row = tuple[UUID, str, str, bytes, datetime]


class RawReportWriter:
    """Stores reports; each caller hears of its own only after the commit that holds it."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        *,
        now: Callable[[], datetime],
        new_id: Callable[[], UUID],
        seconds_max: float = STORE_SECONDS_MAX,
    ) -> None:
        self._pool = pool
        self._now = now
        self._new_id = new_id
        self._seconds_max = seconds_max
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def store_raw(self, aggregator: str, content_type: str, body: bytes) -> None:
        """Store a report and put it on the work list; raises NotReady."""
        if len(self._waiting) >= WAITING_MAX:
            msg = "Too many reports are waiting for the database."
            raise NotReady(msg)
        row = (self._new_id(), aggregator, content_type, body, self._now())
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append((row, stored))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await stored

    async def _write(self) -> None:
        while self._waiting:
            batch = self._waiting[:BATCH_MAX]
            del self._waiting[:BATCH_MAX]
            failure: str | None = None
            try:
                await self._store_in_time([row for row, _ in batch])
            except (PoolTimeout, psycopg.Error) as away:
                # Whatever the fault is, the broker can take what the database did not.
                failure = type(away).__name__
            except TimeoutError:
                # Those behind would wait as long for the same server.
                failure = "The database hangs."
                batch, self._waiting = batch + self._waiting, []
            for _, stored in batch:
                if stored.done():
                    continue
                if failure is None:
                    stored.set_result(None)
                else:
                    stored.set_exception(NotReady(failure))

    async def _store_in_time(self, rows: Sequence[Row]) -> None:
        # A task of its own: a server that hangs answers not even the request to cancel.
        storing = asyncio.create_task(self._store(rows))
        await asyncio.wait((storing,), timeout=self._seconds_max)
        if not storing.done():
            storing.add_done_callback(_forget)
            storing.cancel()
            raise TimeoutError
        storing.result()

    async def _store(self, rows: Sequence[Row]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        async with self._pool.connection() as connection:
            await connection.execute(STORE_MANY, columns, prepare=True)


def _forget(storing: "asyncio.Task[None]") -> None:
    if not storing.cancelled():
        # Marks a failure as seen: nobody waits for it any more.
        storing.exception()
