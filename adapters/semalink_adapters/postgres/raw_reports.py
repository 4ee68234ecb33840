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
    ) -> None:
        self._pool = pool
        self._now = now
        self._new_id = new_id
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def store_raw(self, aggregator: str, content_type: str, body: bytes) -> None:
        """Store a report and put it on the work list; raises NotReady."""
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
            failure: NotReady | None = None
            try:
                await self._store([row for row, _ in batch])
            except (PoolTimeout, psycopg.Error) as away:
                # Whatever the fault is, the broker can take what the database did not.
                failure = NotReady(type(away).__name__)
            for _, stored in batch:
                if stored.done():
                    continue
                if failure is None:
                    stored.set_result(None)
                else:
                    stored.set_exception(failure)

    async def _store(self, rows: Sequence[Row]) -> None:
        columns = [list(column) for column in zip(*rows, strict=True)]
        async with self._pool.connection() as connection:
            await connection.execute(STORE_MANY, columns, prepare=True)
