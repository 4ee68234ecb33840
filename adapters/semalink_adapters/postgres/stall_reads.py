"""What routes took and have not reported on."""

from collections.abc import Sequence
from datetime import datetime

from semalink.application.stall_watch import MinuteTally
from semalink_adapters.postgres.routes import PostgresRoutes, all_rows

SELECT_SUBMITTED = """
SELECT route, network, to_timestamp(second / 60 * 60), sum(attempts - errors)::bigint
FROM route_seconds
WHERE second >= extract(epoch FROM %s::timestamptz) AND second < extract(epoch FROM %s::timestamptz)
GROUP BY 1, 2, 3"""

# However much is awaited, no more of it is looked at: so much tells enough.
SELECT_UNREPORTED = """
SELECT aggregator, network, minute, count(*) FROM (
    SELECT aggregator, coalesce(network, '') AS network,
           date_trunc('minute', submitted_at) AS minute
    FROM awaited_reports WHERE submitted_at >= %s AND submitted_at < %s
    ORDER BY submitted_at LIMIT 500000
) AS awaited GROUP BY 1, 2, 3"""


class PostgresStallReads(PostgresRoutes):
    """The route book, and the list of awaited reports beside it."""

    async def submitted(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what routes took in a span of time."""
        return await self._tallies(SELECT_SUBMITTED, since, until)

    async def unreported(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it had no final report so far."""
        return await self._tallies(SELECT_UNREPORTED, since, until)

    async def _tallies(
        self, question: str, since: datetime, until: datetime
    ) -> Sequence[MinuteTally]:
        async with self._connection() as connection:
            rows = await all_rows(connection, question, (since, until))
        return [MinuteTally(*row) for row in rows]
