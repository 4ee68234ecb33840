"""What is due at endpoints: found, issued within each endpoint's room, and taken back when lost."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from semalink.application.webhook_dispatching import Issued, Room, Target, Ticket
from semalink.domain.endpoint_health import SHUT, Breaker, Record
from semalink_adapters.postgres.outbox import STATEMENT_SECONDS_MAX
from semalink_adapters.postgres.sessions import SET_LOOK_UP_BY_KEY

#: Only the dispatcher that holds this lock issues deliveries.
DISPATCH_LOCK = 7_230_031

# From endpoint to endpoint through the index: what waits at one, however much, is one step.
TARGETS_DUE = """
WITH RECURSIVE waiting AS (
    (SELECT endpoint_id, next_attempt_at FROM webhook_deliveries
     WHERE state = 'waiting' ORDER BY endpoint_id, next_attempt_at LIMIT 1)
    UNION ALL
    SELECT following.* FROM waiting AS w CROSS JOIN LATERAL (
        SELECT endpoint_id, next_attempt_at FROM webhook_deliveries
        WHERE state = 'waiting' AND endpoint_id > w.endpoint_id
        ORDER BY endpoint_id, next_attempt_at LIMIT 1
    ) AS following
)
SELECT e.endpoint_id, e.state = 'enabled', e.rate_per_second, e.concurrency,
       h.endpoint_id IS NOT NULL, h.success_count, h.failure_count, h.consecutive_failures,
       h.failing_since, h.last_success_at, h.last_failure_at,
       h.times_opened, h.opened_at, h.open_until, h.warned_percent
FROM waiting AS w
JOIN webhook_endpoints AS e ON e.endpoint_id = w.endpoint_id
LEFT JOIN webhook_endpoint_health AS h ON h.endpoint_id = w.endpoint_id
WHERE w.next_attempt_at <= now()"""

# Each endpoint has its place in the given order, so that no one takes the whole page.
ISSUE = """
WITH picked AS (
    SELECT due.delivery_id
    FROM unnest(%s::uuid[], %s::int[], %s::int[]) WITH ORDINALITY
        AS room (endpoint_id, out_max, issue_max, place)
    CROSS JOIN LATERAL (
        SELECT least(room.issue_max, room.out_max - count(*)) AS free
        FROM webhook_deliveries AS o
        WHERE o.endpoint_id = room.endpoint_id AND o.state IN ('issued', 'sending')
    ) AS taken
    CROSS JOIN LATERAL (
        SELECT d.delivery_id FROM webhook_deliveries AS d
        WHERE d.endpoint_id = room.endpoint_id AND d.state = 'waiting'
          AND d.next_attempt_at <= now()
        ORDER BY d.next_attempt_at LIMIT greatest(0, taken.free)
    ) AS due
    ORDER BY room.place LIMIT %s
)
UPDATE webhook_deliveries AS d SET state = 'issued', issued_at = now(), lease_until = NULL
FROM picked WHERE d.delivery_id = picked.delivery_id AND d.state = 'waiting'
RETURNING d.delivery_id, d.attempt_no, d.endpoint_id, d.issued_at"""

STORE_BREAKER = """
UPDATE webhook_endpoint_health SET times_opened = %s, opened_at = %s, open_until = %s
WHERE endpoint_id = %s"""

TAKE_BACK = """
UPDATE webhook_deliveries SET state = 'waiting', issued_at = NULL
WHERE delivery_id = ANY(%b) AND state = 'issued'"""

TAKE_BACK_LOST = """
UPDATE webhook_deliveries SET state = 'waiting', issued_at = NULL, lease_until = NULL
WHERE state IN ('issued', 'sending')
  AND (lease_until < now() OR (state = 'issued' AND issued_at < now() - %s::interval))"""

ISSUED_NOW = """
SELECT delivery_id, attempt_no, endpoint_id, issued_at FROM webhook_deliveries
WHERE state = 'issued' AND (%s::uuid IS NULL OR delivery_id > %s)
ORDER BY delivery_id LIMIT %s"""

# From the endpoints that hold, because most of what is due is not held. Bounded: beyond so many
# nobody reads the figure for its digits.
COUNT_HELD = """
SELECT count(*) FROM (
    SELECT FROM webhook_endpoints AS e
    LEFT JOIN webhook_endpoint_health AS h ON h.endpoint_id = e.endpoint_id
    CROSS JOIN LATERAL (
        SELECT FROM webhook_deliveries AS d
        WHERE d.endpoint_id = e.endpoint_id AND d.state = 'waiting' AND d.next_attempt_at <= now()
        LIMIT 100000
    ) AS held
    WHERE e.state IN ('paused', 'disabled') OR (e.state = 'enabled' AND h.open_until IS NOT NULL)
    LIMIT 100000
) AS bounded"""


class PostgresDispatch:
    """The dispatch book, over a connection of its own, as long as it holds the lock."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def try_lead(self) -> bool:
        """Become the one dispatcher if there is no other."""
        await self._all(SET_LOOK_UP_BY_KEY, ())
        [row] = await self._all("SELECT pg_try_advisory_lock(%s)", (DISPATCH_LOCK,))
        return bool(row[0])

    async def targets_due(self) -> Sequence[Target]:
        """Return the endpoints for which something is due."""
        return [_target(row) for row in await self._all(TARGETS_DUE, ())]

    async def issue(self, rooms: Sequence[Room], limit: int) -> Sequence[Issued]:
        """Mark what is due longest as issued, as far as there is room, and return it."""
        parameters = (
            [room.endpoint_id for room in rooms],
            [room.out_max for room in rooms],
            [room.issue_max for room in rooms],
            limit,
        )
        return [_issued(row) for row in await self._all(ISSUE, parameters)]

    async def store_breakers(self, breakers: Mapping[UUID, Breaker]) -> None:
        """Store breakers that have changed."""
        for endpoint_id, breaker in breakers.items():
            parameters = (
                breaker.times_opened,
                breaker.opened_at,
                breaker.open_until,
                endpoint_id,
            )
            await self._execute(STORE_BREAKER, parameters)

    async def take_back(self, issued: Sequence[Issued]) -> None:
        """Make what could not be published due again."""
        await self._execute(TAKE_BACK, ([one.ticket.delivery_id for one in issued],))

    async def take_back_lost(self, lost_after: timedelta) -> int:
        """Make due again what was issued long ago, and what a worker holds beyond its lease."""
        return await self._execute(TAKE_BACK_LOST, (lost_after,))

    async def issued_now(self, after: UUID | None, limit: int) -> Sequence[Issued]:
        """Return what is issued and in nobody's hands, in the order of its ids."""
        return [_issued(row) for row in await self._all(ISSUED_NOW, (after, after, limit))]

    async def count_held(self) -> int:
        """Return how much is due and not sent: its endpoint is paused, disabled or left alone."""
        [row] = await self._all(COUNT_HELD, ())
        return int(row[0])

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(
                statement, parameters, prepare=True, binary=True
            )
            return await cursor.fetchall()

    async def _execute(self, statement: str, parameters: Any) -> int:
        async with asyncio.timeout(STATEMENT_SECONDS_MAX):
            cursor = await self._connection.execute(statement, parameters, prepare=True)
            return cursor.rowcount


def _issued(row: Any) -> Issued:
    delivery_id, attempt_no, endpoint_id, issued_at = row
    return Issued(Ticket(delivery_id, attempt_no + 1), endpoint_id, issued_at)


def _target(row: Any) -> Target:
    endpoint_id, is_enabled, rate_per_second, concurrency, is_known, *health = row
    if not is_known:
        return Target(endpoint_id, is_enabled, rate_per_second, concurrency)
    times_opened, opened_at, open_until, warned_percent = health[6:]
    breaker = Breaker(times_opened, opened_at, open_until) if times_opened else SHUT
    return Target(
        endpoint_id,
        is_enabled,
        rate_per_second,
        concurrency,
        Record(*health[:6]),
        breaker,
        warned_percent,
    )
