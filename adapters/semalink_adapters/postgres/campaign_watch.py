"""Campaigns as operators watch them: any account's, with what waits of each."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from semalink.application.campaign_standing import CampaignStanding
from semalink_adapters.postgres.queries import Queries

_STANDING = """
SELECT c.campaign_id, c.account_id, c.plan ->> 'name', c.state, c.mode, c.start_at, c.started_at,
       c.changed_at, c.settled_at,
       COALESCE(c.message_count, (c.quote ->> 'message_count')::bigint),
       (SELECT COALESCE(sum(messages), 0)::bigint FROM campaign_results AS r
        WHERE r.campaign_id = c.campaign_id),
       (SELECT COALESCE(sum(messages), 0)::bigint FROM campaign_results AS r
        WHERE r.campaign_id = c.campaign_id AND r.status <> 'accepted'),
       (SELECT max(minute) FROM campaign_curve AS k
        WHERE k.campaign_id = c.campaign_id AND k.submitted > 0),
       COALESCE((
           SELECT json_object_agg(state, number) FROM (
               SELECT p.state, count(*) AS number FROM pending_submissions AS p
               WHERE p.campaign_id = c.campaign_id GROUP BY p.state) AS waiting), '{}'),
       c.problem_code, clock_timestamp(),
       (SELECT count(*) FROM tasks AS t
        WHERE t.kind = 'accept_piece' AND (t.payload->>'campaign_id') = c.campaign_id::text
          AND t.state = 'parked')
FROM campaigns AS c """

SELECT_ONE = _STANDING + "WHERE c.campaign_id = %s"

# What is at work comes without being asked for; the rest by its state.
SELECT_MANY = (
    _STANDING
    + """
WHERE (%(state)s::text IS NULL OR c.state = %(state)s)
  AND (%(account_id)s::uuid IS NULL OR c.account_id = %(account_id)s)
  AND (%(everything)s OR c.state IN ('checking', 'awaiting_approval', 'scheduled', 'sending',
                                     'paused')
       OR (c.started_at IS NOT NULL AND c.settled_at IS NULL))
ORDER BY c.campaign_id DESC LIMIT %(limit)s"""
)


class PostgresCampaignWatch(Queries):
    """Reads how campaigns stand."""

    async def campaign(self, campaign_id: UUID) -> CampaignStanding | None:
        """Return how one campaign stands; None when there is none."""
        rows = await self._all(SELECT_ONE, (campaign_id,))
        return CampaignStanding(*rows[0]) if rows else None

    async def campaigns(
        self, *, state: str | None, account_id: UUID | None, everything: bool, limit: int
    ) -> Sequence[CampaignStanding]:
        """Return how campaigns stand, newest first: those at work, or all."""
        parameters: dict[str, Any] = {
            "state": state,
            "account_id": account_id,
            "everything": everything or state is not None,
            "limit": limit,
        }
        return [CampaignStanding(*row) for row in await self._all(SELECT_MANY, parameters)]
