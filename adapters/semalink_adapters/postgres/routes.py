"""The route book in PostgreSQL: what each worker counted, added up for all of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from semalink.application.bus import NotReady
from semalink.application.route_book import (
    CircuitRecord,
    HourTally,
    OverrideRecord,
    RouteRecords,
    RouteTally,
)
from semalink.domain.route_health import Tally
from semalink.domain.routing import Detour, RouteMode, Wish

# No second to come by the clock that all share: it would count for longer than a minute.
ADD_SECONDS = """
INSERT INTO route_seconds AS s (second, route, network, attempts, errors)
SELECT least(second, floor(extract(epoch FROM now()))::bigint + 1), route, network,
       sum(attempts), sum(errors)
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::integer[], %s::integer[])
    AS counted (second, route, network, attempts, errors)
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (second, route, network) DO UPDATE
SET attempts = s.attempts + excluded.attempts, errors = s.errors + excluded.errors"""

ADD_HOURS = """
INSERT INTO route_hours AS h (hour, route, latency_bin, attempts, errors)
SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::smallint[], %s::bigint[], %s::bigint[])
ON CONFLICT (hour, route, latency_bin) DO UPDATE
SET attempts = h.attempts + excluded.attempts, errors = h.errors + excluded.errors"""

SELECT_SECONDS = """
SELECT route, second, network, attempts, errors FROM route_seconds WHERE second > %s"""

SELECT_CIRCUITS = """
SELECT name, network, is_open, since, probe_at, probe_until, error_permille, cause
FROM route_circuits JOIN routes USING (route_id)"""

SELECT_OVERRIDES = """
SELECT 'route', name, name, mode, reason, set_by, set_at, expires_at
FROM routes WHERE mode <> 'auto'
UNION ALL
SELECT scope, subject, route, 'prefer', reason, set_by, set_at, expires_at
FROM route_overrides WHERE scope = 'sender'"""

SELECT_WISH = """
SELECT a.preferred_aggregator, own.route, said.route, said.expires_at
FROM accounts AS a
LEFT JOIN route_overrides AS own ON own.scope = 'dedicated' AND own.subject = %(subject)s
LEFT JOIN route_overrides AS said ON said.scope = 'account' AND said.subject = %(subject)s
WHERE a.account_id = %(account_id)s"""


class PostgresRoutes:
    """Adds and reads over the pool of the reads; each worker has its own."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def add(self, tallies: Sequence[RouteTally], hours: Sequence[HourTally]) -> None:
        """Add what one worker saw to what all saw."""
        seconds = [
            (each.tally.second, each.route, each.tally.network, *_sums(each.tally))
            for each in tallies
        ]
        whole = [(each.hour, each.route, each.latency_bin, *_sums(each)) for each in hours]
        async with self._connection() as connection, connection.transaction():
            # In the order of the keys, so that two workers never wait for each other in a circle.
            for statement, rows in ((ADD_SECONDS, seconds), (ADD_HOURS, whole)):
                if rows:
                    columns = [list(column) for column in zip(*sorted(rows), strict=True)]
                    await connection.execute(statement, columns)

    async def read(self, since_second: int) -> RouteRecords:
        """Return what all workers saw after a second, and what is out of use or overridden."""
        async with self._connection() as connection:
            seconds = await all_rows(connection, SELECT_SECONDS, (since_second,))
            circuits = await all_rows(connection, SELECT_CIRCUITS)
            overrides = await all_rows(connection, SELECT_OVERRIDES)
        return as_records(seconds, circuits, overrides)

    async def wish_of(self, account_id: UUID) -> Wish:
        """Return what is set for an account."""
        parameters = {"account_id": account_id, "subject": account_id.hex}
        async with self._connection() as connection:
            rows = await all_rows(connection, SELECT_WISH, parameters)
        if not rows:
            return Wish()
        preferred, dedicated, route, until = rows[0]
        override = None if route is None else Detour(route, until)
        return Wish(override, dedicated, preferred)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError) as away:
            msg = "The database is away."
            raise NotReady(msg) from away


async def all_rows(
    connection: psycopg.AsyncConnection[Any], statement: str, parameters: Any = None
) -> list[Any]:
    """Return every row that answers a question."""
    cursor = await connection.execute(statement, parameters, prepare=True)
    return await cursor.fetchall()


def as_records(
    seconds: Sequence[Any], circuits: Sequence[Any], overrides: Sequence[Any]
) -> RouteRecords:
    """Return rows of the three questions as records."""
    return RouteRecords(
        [RouteTally(route, Tally(*counted)) for route, *counted in seconds],
        [CircuitRecord(*row) for row in circuits],
        [as_override(row) for row in overrides],
    )


def as_override(row: tuple[Any, ...]) -> OverrideRecord:
    """Return the row of an override as a record."""
    scope, subject, route, mode, *said = row
    return OverrideRecord(scope, subject, route, RouteMode(mode), *said)


def _sums(counted: Tally | HourTally) -> tuple[int, int]:
    return counted.attempts, counted.errors
