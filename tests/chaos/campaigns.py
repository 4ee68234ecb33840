"""A campaign for the chaos: put where a check leaves it, and scheduled for now."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from semalink.application.campaign_commands import CampaignMove, MoveCampaign
from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink_adapters.postgres.group_commit import GroupCommit

PRICE_MICROS = 800_000

_FILL = """
INSERT INTO campaign_recipients (
    campaign_id, place, number, country, network, state, text, encoding, segments,
    price_micros, cost_micros)
SELECT %s, place, '+2547' || lpad((%s + place)::text, 8, '0'), 'KE', 'safaricom', 'ready', %s,
    'gsm-7', 1, %s, %s
FROM generate_series(0, %s - 1) AS place"""
_STANDS = """
SELECT state, settled_at IS NOT NULL, reserved_micros, released_micros FROM campaigns
WHERE campaign_id = %s"""
_CHARGED = """
SELECT count(*), coalesce(sum((convert_from(state, 'UTF8')::jsonb->>'amount_micros')::bigint), 0)
FROM ledger_entries WHERE topic = 'credit_account.charged.1'
  AND convert_from(state, 'UTF8')::jsonb->>'campaign_id' = %s"""
_COME_DUE = (
    "UPDATE pending_submissions SET due_at = now() WHERE state = 'unknown' AND due_at > now()"
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a campaign stands, in micros."""

    state: str
    is_settled: bool
    reserved_micros: int
    released_micros: int | None


@dataclass(frozen=True, slots=True)
class _Schedule(PlainCommand):
    campaign_id: UUID
    account_id: UUID
    text: str
    count: int
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> None:
        plan, cost = Plan("Chaos", "SEMALINK", self.text), self.count * PRICE_MICROS
        campaign = Campaign.draft(
            self.campaign_id, self.account_id, self.account_id, "live", plan, self.cause
        )
        found = Totals(self.count, self.count, {}, {}, {}, self.count, cost, cost)
        campaign.start_check(self.cause, schedules=True)
        campaign.record_check(found, self.cause)
        campaign.schedule(self.cause.at, self.cause, needs_approval=False)
        books.add(campaign)


async def schedule(database_url: str, account_id: UUID, text: str, count: int) -> UUID:
    """Schedule a campaign for now and return its id."""
    campaign_id = uuid7()
    first = campaign_id.int % 90_000_000
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        row = (campaign_id, first, text, PRICE_MICROS, PRICE_MICROS, count)
        await connection.execute(_FILL, row)
    async with GroupCommit(database_url) as ledger:
        cause = Cause("operator:chaos", datetime.now(UTC), "req_chaos")
        await ledger.execute(_Schedule(campaign_id, account_id, text, count, cause))
    return campaign_id


async def cancel(database_url: str, campaign_id: UUID) -> None:
    """Cancel a campaign."""
    async with GroupCommit(database_url) as ledger:
        cause = Cause("operator:chaos", datetime.now(UTC), "req_chaos")
        await ledger.execute(MoveCampaign(campaign_id, None, cause, CampaignMove.CANCEL, "chaos"))


async def standing(database_url: str, campaign_id: UUID) -> Standing:
    """Return where a campaign stands; what only waits for its deadline is made due."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(_COME_DUE)
        row: Any = await (await connection.execute(_STANDS, (campaign_id,))).fetchone()
    return Standing(*row)


async def charges(database_url: str, campaign_id: UUID) -> tuple[int, int]:
    """Return how many messages of a campaign were charged, and what in all."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        cursor = await connection.execute(_CHARGED, (str(campaign_id),))
        row: Any = await cursor.fetchone()
    return int(row[0]), int(row[1])
