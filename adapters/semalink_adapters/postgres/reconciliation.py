"""What was sent, from the messages read model, and what was left at the aggregators."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from semalink.application.reconciliation import Sent, Suspect
from semalink.domain.archive_errors import MonthArchived
from semalink.domain.calendar import BUSINESS_TIME
from semalink.domain.ids import MESSAGE_PREFIX, format_id, parse_id
from semalink.domain.reconciliation import Snapshot
from semalink_adapters.postgres.partitions import first_id_of

#: A message is handed over at most so long after it was accepted, which its id tells.
_VALID_AT_MOST = timedelta(days=4)

_OF_DAYS = """
FROM messages
WHERE message_id >= %(first_id)s AND message_id < %(last_id)s
  AND submitted_at >= %(first_at)s AND submitted_at < %(last_at)s
  AND mode = 'live' AND aggregator IS NOT NULL"""

SELECT_SENT = f"""
SELECT (submitted_at AT TIME ZONE 'Africa/Nairobi')::date, aggregator, country, network,
       provider_currency, count(*), sum(segments)::bigint,
       sum(COALESCE(cost_micros, price_micros))::bigint,
       count(provider_cost_micros), COALESCE(sum(provider_cost_micros), 0)::bigint
{_OF_DAYS} AND (%(route)s::text IS NULL OR aggregator = %(route)s)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5"""

# On a route that names costs, whatever lacks one is in doubt; on others only what may have been
# taken twice, or by nobody.
SELECT_SUSPECTS = f"""
SELECT message_id, country, network, segments, provider_cost_micros,
       CASE WHEN possible_duplicate THEN 'possible_duplicate'
            WHEN status = 'unknown' THEN 'outcome_unknown'
            WHEN provider_cost_micros IS NULL THEN 'no_cost'
            ELSE 'other_cost' END AS reason
{_OF_DAYS} AND aggregator = %(route)s AND message_id > %(after)s
  AND (possible_duplicate OR status = 'unknown' OR provider_cost_micros IS NOT NULL
       OR EXISTS (SELECT FROM messages AS m WHERE m.aggregator = %(route)s
                  AND m.message_id >= %(first_id)s AND m.message_id < %(last_id)s
                  AND m.provider_cost_micros IS NOT NULL))
ORDER BY message_id LIMIT %(limit)s"""  # noqa: S608 - constants

#: Months of messages, by the UTC of their ids, that the read model has not.
SELECT_ARCHIVED = """
SELECT min(month) FROM archived_months
WHERE log = 'message_events' AND row_count > 0 AND month BETWEEN %(first)s AND %(last)s
  AND state IN ('dropped', 'archived', 'restoring')"""

SELECT_SNAPSHOTS = """
(SELECT taken_at, left_micros FROM provider_balances
 WHERE aggregator = %(route)s AND taken_at < %(first_at)s ORDER BY taken_at DESC LIMIT 1)
UNION ALL
(SELECT taken_at, left_micros FROM provider_balances
 WHERE aggregator = %(route)s AND taken_at >= %(first_at)s AND taken_at < %(last_at)s
 ORDER BY taken_at)"""

INSERT_SNAPSHOT = """
INSERT INTO provider_balances (aggregator, taken_at, said, left_micros)
SELECT %(route)s, %(at)s, %(said)s, %(left)s
WHERE NOT EXISTS (
    SELECT FROM provider_balances WHERE aggregator = %(route)s AND taken_at > %(since)s)
ON CONFLICT DO NOTHING"""


class PostgresReconciliation:
    """Reads over the pool of the reads."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def sent(self, first: date, last: date, route: str | None) -> Sequence[Sent]:
        """Return sums by day, route, destination and currency, both days included."""
        await self._refuse_archived(first, last)
        rows = await self._all(SELECT_SENT, {**_bounds(first, last), "route": route})
        return [Sent(*row) for row in rows]

    async def snapshots(self, route: str, first: date, last: date) -> Sequence[Snapshot]:
        """Return the balances from the last one before the first day, by time."""
        rows = await self._all(SELECT_SNAPSHOTS, {**_bounds(first, last), "route": route})
        return [Snapshot(*row) for row in rows]

    async def suspects(
        self, day: date, route: str, limit: int, after: str | None
    ) -> Sequence[Suspect]:
        """Return messages of a day and route that may explain a drift, by id."""
        await self._refuse_archived(day, day)
        behind = parse_id(MESSAGE_PREFIX, after) if after else None
        asked = {
            **_bounds(day, day),
            "route": route,
            "limit": limit,
            "after": behind or UUID(int=0),
        }
        rows = await self._all(SELECT_SUSPECTS, asked)
        return [
            Suspect(format_id(MESSAGE_PREFIX, row[0]), row[1], row[2], row[3], None, row[4], row[5])
            for row in rows
        ]

    async def record_balance(
        self, route: str, said: str, left_micros: int, *, at: datetime, apart: timedelta
    ) -> bool:
        """Keep what was left, unless another process did a moment ago; tell whether it was."""
        facts = {
            "route": route,
            "said": said,
            "left": left_micros,
            "at": at,
            "since": at - apart,
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(INSERT_SNAPSHOT, facts)
            return bool(cursor.rowcount == 1)

    async def _refuse_archived(self, first: date, last: date) -> None:
        # What went with its month would be missing from the sums.
        bounds = _bounds(first, last)
        earliest = bounds["first_at"] - _VALID_AT_MOST
        asked = {"first": f"{earliest:%Y-%m}", "last": f"{bounds['last_at']:%Y-%m}"}
        rows = await self._all(SELECT_ARCHIVED, asked)
        if rows[0][0] is not None:
            raise MonthArchived(rows[0][0])

    async def _all(self, statement: str, parameters: dict[str, Any]) -> list[Any]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement.encode(), parameters)
            rows: list[Any] = await cursor.fetchall()
            return rows


def _bounds(first: date, last: date) -> dict[str, Any]:
    first_at = datetime(first.year, first.month, first.day, tzinfo=BUSINESS_TIME).astimezone(UTC)
    after = last + timedelta(days=1)
    last_at = datetime(after.year, after.month, after.day, tzinfo=BUSINESS_TIME).astimezone(UTC)
    return {
        "first_at": first_at,
        "last_at": last_at,
        "first_id": first_id_of(first_at - _VALID_AT_MOST),
        "last_id": first_id_of(last_at + timedelta(minutes=1)),
    }
