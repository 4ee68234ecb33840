"""Buckets of rate limits: one row an account and mode, on the database's clock."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from psycopg_pool import AsyncConnectionPool

from semalink.application.rate_limiting import BucketsUnavailable
from semalink.application.reading import ReadsUnavailable
from semalink.domain.rate_limit import AccountBuckets, Ask, Grant, lease
from semalink_adapters.postgres.queries import Queries

#: A request waits no longer for a token; its process then goes by itself for a while.
LEASE_SECONDS_MAX = 0.5

ADD_ROWS = """
INSERT INTO rate_buckets (account_id, mode, buckets)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[])
ON CONFLICT DO NOTHING"""

# In one order, so that no two processes wait for one another; the clock is read behind the locks.
LOCK_ROWS = """
WITH locked AS MATERIALIZED (
    SELECT b.account_id, b.mode, b.buckets FROM rate_buckets AS b
    JOIN unnest(%s::uuid[], %s::text[]) AS wanted (account_id, mode) USING (account_id, mode)
    ORDER BY b.account_id, b.mode FOR UPDATE OF b
)
SELECT account_id, mode, buckets,
       (extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM locked"""

WRITE_ROWS = """
UPDATE rate_buckets AS b SET buckets = new.buckets
FROM unnest(%s::uuid[], %s::text[], %s::bytea[]) AS new (account_id, mode, buckets)
WHERE b.account_id = new.account_id AND b.mode = new.mode"""

_Place = tuple[UUID, str]


class PostgresBuckets(Queries):
    """The buckets of all accounts, leased from in one transaction an ask or a group of them."""

    _encode: ClassVar = msgspec.msgpack.Encoder().encode
    _decode: ClassVar = msgspec.msgpack.Decoder(AccountBuckets).decode

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        super().__init__(pool, seconds_max=LEASE_SECONDS_MAX)

    async def lease(self, asks: Sequence[Ask]) -> Sequence[Grant]:
        """Answer each ask, in order; raises BucketsUnavailable."""
        try:
            return await self._answered(lambda: self._lease(asks))
        except ReadsUnavailable as away:
            raise BucketsUnavailable from away

    async def _lease(self, asks: Sequence[Ask]) -> Sequence[Grant]:
        places = sorted({(ask.account_id, ask.mode) for ask in asks})
        async with self._connection() as connection, connection.transaction():
            found, now = await self._lock(connection, places)
            if len(found) < len(places):
                # Their first message, or the server crashed and forgot: they begin full.
                await self._add(connection, [place for place in places if place not in found])
                found, now = await self._lock(connection, places)
            grants = [lease(found[ask.account_id, ask.mode], ask, now) for ask in asks]
            ids, modes = _columns(places)
            states = [self._encode(found[place]) for place in places]
            await connection.execute(WRITE_ROWS, (ids, modes, states), binary=True)
        return grants

    async def _lock(
        self, connection: Any, places: Sequence[_Place]
    ) -> tuple[dict[_Place, AccountBuckets], int]:
        cursor = await connection.execute(LOCK_ROWS, _columns(places), binary=True)
        rows = await cursor.fetchall()
        found = {(row[0], row[1]): self._decode(row[2]) for row in rows}
        return found, max((row[3] for row in rows), default=0) * 1_000

    async def _add(self, connection: Any, places: Sequence[_Place]) -> None:
        ids, modes = _columns(places)
        states = [self._encode(AccountBuckets()) for _ in places]
        await connection.execute(ADD_ROWS, (ids, modes, states))


def _columns(places: Sequence[_Place]) -> tuple[list[UUID], list[str]]:
    return [account_id for account_id, _ in places], [mode for _, mode in places]
