"""Campaigns as the scheduler sees them: due, under way, and what is left of each."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from semalink.application.campaign_keeping import Due, UnderWay
from semalink.application.campaign_sending import CampaignRef
from semalink_adapters.postgres.tasks import ready_connection

#: What wakes schedulers, sent with the change itself so that it arrives when that holds.
CAMPAIGN_CHANNEL = "semalink_campaigns"

# The claim is written down instead of held: the ledger changes the row in a transaction of its own.
CLAIM_DUE = """
WITH due AS (
    SELECT campaign_id FROM campaigns
    WHERE state = 'scheduled' AND start_at <= now()
      AND (claimed_until IS NULL OR claimed_until <= now())
    ORDER BY start_at LIMIT %s FOR UPDATE SKIP LOCKED
)
UPDATE campaigns AS c SET claimed_until = now() + make_interval(secs => %s)
FROM due WHERE c.campaign_id = due.campaign_id
RETURNING now(), c.campaign_id, c.account_id, c.billing_account_id,
    (c.plan->>'sender') = ANY(%s) OR EXISTS (
        SELECT FROM approved_senders AS s
        WHERE s.account_id = c.account_id AND s.sender = c.plan->>'sender')"""

SECONDS_UNTIL_NEXT = """
SELECT extract(epoch FROM min(greatest(start_at, claimed_until)) - now())::float8
FROM (
    SELECT start_at, claimed_until FROM campaigns
    WHERE state = 'scheduled' ORDER BY start_at LIMIT 100
) AS next"""

# A concluded unknown keeps its row for late reports and can be charged no more.
# A piece that nobody is at makes no message once its campaign was cancelled.
UNDER_WAY = """
SELECT c.campaign_id, c.account_id, c.billing_account_id, c.state,
    EXISTS (
        SELECT FROM tasks AS t
        WHERE t.kind = 'accept_piece' AND (t.payload->>'campaign_id') = c.campaign_id::text
          AND NOT (c.state = 'cancelled' AND t.state = 'parked')),
    EXISTS (
        SELECT FROM pending_submissions AS p
        WHERE p.campaign_id = c.campaign_id AND p.state <> 'unknown'),
    EXISTS (
        SELECT FROM pending_submissions AS p
        WHERE p.campaign_id = c.campaign_id AND (p.state <> 'unknown' OR p.due_at IS NOT NULL))
FROM campaigns AS c WHERE c.started_at IS NOT NULL AND c.settled_at IS NULL"""

UNSENT = """
SELECT message_id FROM pending_submissions
WHERE campaign_id = %s AND state IN ('held', 'queued', 'postponed', 'parked') AND message_id > %s
ORDER BY message_id LIMIT %s"""


class PostgresScheduleBook:
    """A ScheduleBook over a pool; each query is told to whoever counts them."""

    def __init__(
        self,
        pool: AsyncConnectionPool[Any],
        *,
        shared_senders: Sequence[str] = (),
        on_query: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._shared_senders = list(shared_senders)
        self._on_query = on_query

    async def claim_due(self, limit: int, seconds: float) -> Sequence[Due]:
        """Return campaigns that are due and that nobody else was given."""
        rows = await self._all(CLAIM_DUE, (limit, seconds, self._shared_senders))
        return [Due(row[0], CampaignRef(*row[1:4]), row[4]) for row in rows]

    async def seconds_until_next(self) -> float | None:
        """Return how long until the next campaign is due; None when none is scheduled."""
        [[seconds]] = await self._all(SECONDS_UNTIL_NEXT, ())
        return None if seconds is None else float(seconds)

    async def under_way(self) -> Sequence[UnderWay]:
        """Return the campaigns that started and are not settled."""
        rows = await self._all(UNDER_WAY, ())
        return [UnderWay(CampaignRef(*row[:3]), *row[3:]) for row in rows]

    async def unsent(self, campaign_id: UUID, after: UUID, limit: int) -> Sequence[UUID]:
        """Return messages that wait for submission, in id order."""
        rows = await self._all(UNSENT, (campaign_id, after, limit))
        return [row[0] for row in rows]

    async def _all(self, statement: str, parameters: Any) -> list[Any]:
        self._on_query()
        async with ready_connection(self._pool) as connection:
            cursor = await connection.execute(statement, parameters)
            return await cursor.fetchall()
