"""Results of campaigns: from the read models, with the campaign itself, all of one instant."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from semalink.application.campaign_results import (
    CampaignFacts,
    CurveRow,
    Outcome,
    ResultRow,
    Sent,
)
from semalink_adapters.postgres.archived_months import IN_ARCHIVE_ONLY
from semalink_adapters.postgres.queries import Queries

_READ_UNTIL = """
COALESCE((
    SELECT e.recorded_at FROM message_events AS e
    WHERE (e.xid, e.notification_id) > (
        COALESCE((SELECT xid FROM cursors WHERE name = '{0}'), '0'::xid8),
        COALESCE((SELECT position FROM cursors WHERE name = '{0}'), 0))
    ORDER BY e.xid, e.notification_id LIMIT 1), clock_timestamp())"""

#: Everything that was recorded before is counted: the first event that is not, or now.
COUNTED_UNTIL = _READ_UNTIL.format("usage")
#: Messages that were accepted before are listed.
LISTED_UNTIL = _READ_UNTIL.format("messages")

# One statement, so that counts, money and state are of one snapshot.
SELECT_FACTS = f"""
SELECT c.plan ->> 'name', c.state, c.account_id = c.billing_account_id, c.quote,
       c.message_count, COALESCE(c.reserved_micros, 0), c.started_at, c.completed_at, c.settled_at,
       EXISTS (
           SELECT FROM archived_months WHERE log = 'message_events' AND state IN {IN_ARCHIVE_ONLY}
             AND month IN (to_char(c.started_at AT TIME ZONE 'UTC', 'YYYY-MM'),
                           to_char(c.started_at AT TIME ZONE 'UTC' + interval '1 day', 'YYYY-MM'))),
       COALESCE(c.completed_at, c.changed_at) < LEAST({COUNTED_UNTIL}, {LISTED_UNTIL}),
       {COUNTED_UNTIL},
       (SELECT json_agg(json_build_array(
            network, status, failure_code, messages, submitted, segments, price_micros,
            charged_micros, refunded_micros))
        FROM campaign_results WHERE campaign_id = c.campaign_id),
       (SELECT json_agg(json_build_array(
            extract(epoch FROM minute)::bigint, accepted, submitted, delivered, ended)
            ORDER BY minute)
        FROM campaign_curve WHERE campaign_id = c.campaign_id)
FROM campaigns AS c WHERE c.campaign_id = %s AND c.account_id = %s AND c.mode = %s"""  # noqa: S608 - constants

# By the account and the number, for which there is an index; a campaign has a number once.
SELECT_OUTCOMES = """
SELECT r.place, r.number, r.state, r.reason,
       m.message_id, m.status, m.failure_code, m.segments, m.price_micros, m.charged_micros,
       m.refunded_micros, m.network, m.submitted_at, m.finished_at
FROM (SELECT place, number, state, reason FROM campaign_recipients
      WHERE campaign_id = %(campaign_id)s AND place > %(after)s
      ORDER BY place LIMIT %(limit)s) AS r
LEFT JOIN LATERAL (
    SELECT * FROM messages
    WHERE r.state = 'ready' AND account_id = %(account_id)s AND recipient = r.number
      AND campaign_id = %(campaign_id)s
    ORDER BY message_id DESC LIMIT 1) AS m ON true
ORDER BY r.place"""


class PostgresCampaignResults(Queries):
    """CampaignResultReads over a pool."""

    async def facts(self, campaign_id: UUID, account_id: UUID, mode: str) -> CampaignFacts | None:
        """Return what is known of a campaign; None for another account's, or of another mode."""
        rows = await self._all(SELECT_FACTS, (campaign_id, account_id, mode))
        if not rows:
            return None
        (
            name,
            state,
            pays_itself,
            quote,
            count,
            reserved,
            *times,
            archived,
            is_listed,
            as_of,
            results,
            curve,
        ) = rows[0]
        found: Mapping[str, Any] = quote or {}
        # What an agent set aside for its customer is not the customer's to see, but its own price.
        own = reserved if pays_itself or not reserved else found.get("price_micros", 0)
        return CampaignFacts(
            campaign_id,
            name,
            state,
            mode,
            as_of,
            message_count=found.get("message_count") if count is None else count,
            left_out=found.get("left_out", {}),
            reserved_micros=own,
            started_at=times[0],
            completed_at=times[1],
            settled_at=times[2],
            is_archived=archived,
            is_listed=is_listed,
            results=[ResultRow(*row) for row in results or ()],
            curve=[CurveRow(datetime.fromtimestamp(row[0], UTC), *row[1:]) for row in curve or ()],
        )

    async def outcomes(
        self, campaign_id: UUID, account_id: UUID, *, after: int, limit: int
    ) -> Sequence[Outcome]:
        """Return what became of its recipients, in their order, behind the place ``after``."""
        parameters = {
            "campaign_id": campaign_id,
            "account_id": account_id,
            "after": after,
            "limit": limit,
        }
        return [
            Outcome(place, number, state, reason, Sent(*sent) if sent[0] else None)
            for place, number, state, reason, *sent in await self._all(SELECT_OUTCOMES, parameters)
        ]
