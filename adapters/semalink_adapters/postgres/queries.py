"""Statements over a pool, each answered or given up within seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.reading import ReadsUnavailable
from semalink_adapters.postgres.sessions import CONNECT_TIMEOUT_SECONDS, KEEPALIVES, KEPT_ALIVE
from semalink_adapters.postgres.writer_connection import Fault, fault_of

T = TypeVar("T")

#: What takes longer is answered as being away.
READ_SECONDS_MAX = 5.0


class Queries:
    """Reads over a pool; each raises ReadsUnavailable at once while the database is away."""

    def __init__(
        self, pool: AsyncConnectionPool[Any], *, seconds_max: float = READ_SECONDS_MAX
    ) -> None:
        self._pool = pool
        self._seconds_max = seconds_max

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise ReadsUnavailable(msg) from away

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        return await self._answered(lambda: self._all_at_once(statement, parameters))

    async def _answered(self, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        # A task of its own: a server that hangs answers not even the request to cancel, so the
        # caller must be able to go on without it.
        reading = asyncio.ensure_future(self._with_retry(read))
        await asyncio.wait((reading,), timeout=self._seconds_max)
        if reading.done():
            return reading.result()
        reading.add_done_callback(_forget)
        reading.cancel()
        msg = "The database hangs."
        raise ReadsUnavailable(msg)

    async def _with_retry(self, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        try:
            return await read()
        except ReadsUnavailable as away:
            cause = away.__cause__
            if not isinstance(cause, psycopg.Error) or isinstance(cause, PoolTimeout):
                raise
            if fault_of(cause) is not Fault.BROKEN:
                raise
        # The server may have been restarted behind connections that were idle.
        await self._pool.check()
        return await read()

    async def _all_at_once(self, statement: str, parameters: Any) -> list[Any]:
        async with self._connection() as connection:
            cursor = await connection.execute(statement, parameters, binary=True)
            return await cursor.fetchall()


def _forget(reading: "asyncio.Future[Any]") -> None:
    if not reading.cancelled():
        # Marks a failure as seen: nobody waits for it any more.
        reading.exception()


def open_pool(database_url: str, *, size: int = 8) -> AsyncConnectionPool[Any]:
    """Return a pool that is not open yet and that gives up fast when the database is away."""
    return AsyncConnectionPool(
        database_url,
        min_size=1,
        max_size=size,
        open=False,
        timeout=1.0,
        reconnect_timeout=10.0,
        kwargs={
            "autocommit": True,
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": (
                f"{KEPT_ALIVE} -c statement_timeout=10s"
                # A process that froze holds back no reader of the logs for longer.
                " -c idle_in_transaction_session_timeout=5s"
            ),
            "application_name": "semalink-reads",
            **KEEPALIVES,
        },
    )
