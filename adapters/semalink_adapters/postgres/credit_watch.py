"""What is due in the credits, as the tables beside the ledger know it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady
from semalink.application.credit_keeping import Due

SELECT_DUE = """
SELECT expires_at, reservation_id, account_id FROM open_reservations
WHERE expires_at <= %s AND (expires_at, reservation_id) > (%s, %s)
ORDER BY expires_at, reservation_id LIMIT %s"""

_FIRST = Due(datetime(2000, 1, 1, tzinfo=UTC), UUID(int=0), UUID(int=0))

SELECT_LOW = "SELECT account_id FROM credit_heads WHERE is_low"


class PostgresCreditWatch:
    """Looks through the pool of the reads."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def due_reservations(self, at: datetime, limit: int, after: Due | None) -> Sequence[Due]:
        """Return reservations whose time is up, oldest first, from behind the one given."""
        behind = after or _FIRST
        parameters = (at, behind.expires_at, behind.reservation_id, limit)
        return [Due(*row) for row in await self._all(SELECT_DUE, parameters)]

    async def low_accounts(self) -> frozenset[UUID]:
        """Return the accounts that were warned and have not recovered."""
        return frozenset(row[0] for row in await self._all(SELECT_LOW, ()))

    async def _all(self, statement: str, parameters: tuple[Any, ...]) -> list[Any]:
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(statement, parameters)
                rows: list[Any] = await cursor.fetchall()
                return rows
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise NotReady(msg) from away
