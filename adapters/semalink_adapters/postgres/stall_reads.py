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
_SELECT_AWAITED = """
SELECT aggregator, network, minute, count(*) FROM (
    SELECT aggregator, coalesce(network, '') AS network,
           date_trunc('minute', submitted_at) AS minute
    FROM awaited_reports WHERE submitted_at >= %s AND submitted_at < %s AND {}
    ORDER BY submitted_at LIMIT 500000
) AS awaited GROUP BY 1, 2, 3"""

SELECT_UNREPORTED = _SELECT_AWAITED.format("(polls > 0 OR next_poll_at IS NULL)")
SELECT_UNASKED = _SELECT_AWAITED.format("polls = 0 AND next_poll_at IS NOT NULL")

# Each report has a row there until it is read; one that is older than any count was given up.
IS_BEHIND = """
SELECT EXISTS (
    SELECT FROM pending_reports
    WHERE received_at < now() - interval '1 minute' AND received_at > now() - interval '15 minutes'
)"""

# What has left the list of awaited reports has had its report.
HEARD_OF = """
SELECT name, network FROM route_circuits JOIN routes USING (route_id)
WHERE is_open AND cause = 'stall' AND EXISTS (
    SELECT FROM unnest(taken_probes) AS probe (message_id)
    WHERE NOT EXISTS (
        SELECT FROM awaited_reports AS a WHERE a.message_id = probe.message_id))"""


class PostgresStallReads(PostgresRoutes):
    """The route book, and the list of awaited reports beside it."""

    async def submitted(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what routes took in a span of time."""
        return await self._tallies(SELECT_SUBMITTED, since, until)

    async def unreported(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it had no final report so far."""
        return await self._tallies(SELECT_UNREPORTED, since, until)

    async def unasked(self, since: datetime, until: datetime) -> Sequence[MinuteTally]:
        """Count what of it was not asked for yet."""
        return await self._tallies(SELECT_UNASKED, since, until)

    async def is_behind(self) -> bool:
        """Whether reports that came long ago were not read yet."""
        async with self._connection() as connection:
            [(behind,)] = await all_rows(connection, IS_BEHIND)
        return bool(behind)

    async def heard_of(self) -> Sequence[tuple[str, str]]:
        """Return stalled routes, each with its network, that reported on a probe."""
        async with self._connection() as connection:
            return await all_rows(connection, HEARD_OF)

    async def _tallies(
        self, question: str, since: datetime, until: datetime
    ) -> Sequence[MinuteTally]:
        async with self._connection() as connection:
            rows = await all_rows(connection, question, (since, until))
        return [MinuteTally(*row) for row in rows]
