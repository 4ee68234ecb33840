from datetime import UTC, datetime
from typing import Any

import psycopg

from semalink.application.route_book import RouteTally, second_of
from semalink.domain.route_health import Tally
from semalink_adapters.postgres.routes import PostgresRoutes


async def test_what_a_worker_with_a_fast_clock_counted_is_over_as_soon_as_the_rest(
    pool: Any, connection: psycopg.Connection[Any]
) -> None:
    now = second_of(datetime.now(UTC))
    ahead = [RouteTally("celcom", Tally(now + more, "", 5, 4)) for more in (300, 301)]

    await PostgresRoutes(pool).add([*ahead, RouteTally("celcom", Tally(now - 5, "", 1, 0))], [])

    rows = connection.execute("SELECT second, attempts, errors FROM route_seconds ORDER BY 1")
    (before, *counted), (last, *ahead_counted) = rows.fetchall()
    assert (before, counted) == (now - 5, [1, 0])
    assert last <= second_of(datetime.now(UTC)) + 1
    assert ahead_counted == [10, 8]
