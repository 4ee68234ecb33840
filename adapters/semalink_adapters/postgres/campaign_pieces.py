"""The pieces of campaigns in PostgreSQL: who gets what, as the check left it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from semalink.application.campaign_pieces import Piece, PricedRecipient
from semalink.application.campaign_sending import CampaignRef
from semalink_adapters.postgres.task_changes import end_task
from semalink_adapters.postgres.tasks import ready_connection

CAMPAIGN = """
SELECT c.campaign_id, c.account_id, c.billing_account_id, c.mode, c.plan->>'sender',
    c.plan->'metadata', COALESCE(a.refunded_on, p.refunded_on), c.start_at,
    (c.plan->>'validity_seconds')::int
FROM campaigns AS c
JOIN accounts AS a ON a.account_id = c.account_id
JOIN accounts AS p ON p.account_id = c.billing_account_id
WHERE c.campaign_id = %s"""

RECIPIENTS = """
SELECT number, text, country, network, encoding, segments, price_micros, cost_micros,
    COALESCE(shadow_rules, '{}'), COALESCE(priced_by, '')
FROM campaign_recipients
WHERE campaign_id = %s AND place >= %s AND place < %s AND state = 'ready'
ORDER BY place"""


class PostgresPieces:
    """A PieceBook over a pool."""

    def __init__(self, pool: AsyncConnectionPool[Any]) -> None:
        self._pool = pool

    async def piece(self, campaign_id: UUID, first: int, size: int) -> Piece | None:
        """Return the recipients of so many places that get a message; None: no such campaign."""
        async with ready_connection(self._pool) as connection:
            cursor = await connection.execute(CAMPAIGN, (campaign_id,))
            row = await cursor.fetchone()
            if row is None or row[7] is None:
                return None
            cursor = await connection.execute(RECIPIENTS, (campaign_id, first, first + size))
            rows = await cursor.fetchall()
        recipients = [PricedRecipient(*(*row[:8], tuple(row[8]), row[9])) for row in rows]
        refunded_on = None if row[6] is None else tuple(row[6])
        ends_at = row[7] + timedelta(seconds=row[8])
        mode, sender, metadata = row[3:6]
        campaign = CampaignRef(*row[:3])
        return Piece(campaign, mode, sender, metadata, refunded_on, ends_at, recipients)

    async def end(self, task_id: UUID) -> None:
        """Take note that a task is done."""
        async with ready_connection(self._pool) as connection:
            await connection.execute(*end_task(task_id))
