"""What operators read of routes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from semalink.application.route_book import HourTally, OverrideRecord, RouteRecords
from semalink_adapters.postgres.queries import Queries
from semalink_adapters.postgres.routes import (
    SELECT_CIRCUITS,
    SELECT_OVERRIDES,
    SELECT_SECONDS,
    as_override,
    as_records,
)

SELECT_HOURS = """
SELECT route, hour, latency_bin, attempts, errors FROM route_hours WHERE hour >= %s"""

COUNT_EVENTS = """
SELECT r.name, e.topic, count(*)
FROM routes AS r JOIN admin_events AS e ON e.originator_id = r.route_id
WHERE e.recorded_at >= %s GROUP BY r.name, e.topic"""

SELECT_EVERY_OVERRIDE = """
SELECT 'route', name, name, mode, reason, set_by, set_at, expires_at
FROM routes WHERE mode <> 'auto'
UNION ALL
SELECT scope, subject, route, 'prefer', reason, set_by, set_at, expires_at
FROM route_overrides ORDER BY 1, 2"""


class PostgresRouteReads(Queries):
    """Reads over a pool."""

    async def records(self, since_second: int) -> RouteRecords:
        """Return what all workers saw after a second, and what is out of use or overridden."""
        return as_records(
            await self._all(SELECT_SECONDS, (since_second,)),
            await self._all(SELECT_CIRCUITS, None),
            await self._all(SELECT_OVERRIDES, None),
        )

    async def hours(self, since: datetime) -> Sequence[HourTally]:
        """Return what happened in the hours from that one on."""
        return [HourTally(*row) for row in await self._all(SELECT_HOURS, (since,))]

    async def event_counts(self, since: datetime) -> Mapping[tuple[str, str], int]:
        """Count the events of routes since then, by route and topic."""
        rows = await self._all(COUNT_EVENTS, (since,))
        return {(route, topic): count for route, topic, count in rows}

    async def overrides(self) -> Sequence[OverrideRecord]:
        """Return every override and dedicated route, those that ran out included."""
        return [as_override(row) for row in await self._all(SELECT_EVERY_OVERRIDE, None)]
