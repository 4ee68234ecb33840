"""Accepting a campaign beside everything else that its payer's credits are used for."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from semalink.application.campaign_sending import AcceptPiece, CampaignRef, PieceOutcome
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink.domain.draft import Draft
from semalink_adapters.postgres.batch import lock_key_of
from semalink_adapters.postgres.group_commit import GroupCommit

CAUSE = Cause("key:duka", datetime.now(UTC), "req_1")


class Begun(PlainCommand):
    """Make a campaign that sends."""

    def __init__(self) -> None:
        account_id = uuid7()
        self.ref = CampaignRef(uuid7(), account_id, account_id)

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> None:
        ref = self.ref
        campaign = Campaign.draft(
            ref.campaign_id, ref.account_id, ref.account_id, "test", Plan("Offer", "SEMA", "Hi"),
            CAUSE,
        )  # fmt: skip
        campaign.start_check(CAUSE, schedules=True)
        campaign.record_check(Totals(1, 1, {}, {}, {}, 1, 1, 1), CAUSE)
        campaign.schedule(CAUSE.at, CAUSE, needs_approval=False)
        campaign.start(0, CAUSE)
        books.add(campaign)


def piece_of(ref: CampaignRef) -> AcceptPiece:
    draft = Draft(
        ref.account_id, ref.account_id, "test", "+254712345678", "KE", None, "Hi", "SEMA",
        "normal", "GSM-7", 1, 0, CAUSE.at + timedelta(days=1), {}, campaign_id=ref.campaign_id,
    )  # fmt: skip
    return AcceptPiece(ref, 0, [uuid7()], [draft], CAUSE)


async def count_messages(connection: psycopg.AsyncConnection[Any], campaign_id: UUID) -> int:
    rows = await connection.execute(
        "SELECT count(*)::int FROM pending_submissions WHERE campaign_id = %s", (campaign_id,)
    )
    [(count,)] = await rows.fetchall()
    return int(count)


async def test_accept_piece_waits_for_nobody_who_uses_the_credits(
    ledger: Ledger, database_url: str
) -> None:
    begun = Begun()
    await ledger.execute(begun)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as other:
        key = lock_key_of(begun.ref.billing_account_id)
        await other.execute("SELECT pg_advisory_lock(%s)", (key,))

        outcome = await ledger.execute(piece_of(begun.ref))

    assert outcome.value == PieceOutcome(1)


async def test_accept_piece_accepts_once_though_two_processes_race(
    ledger: Ledger, database_url: str
) -> None:
    begun = Begun()
    await ledger.execute(begun)
    async with (
        GroupCommit(database_url) as second,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection,
    ):
        outcomes = await asyncio.gather(*[
            each.execute(piece_of(begun.ref)) for each in (ledger, second) * 4
        ])  # fmt: skip
        count = await count_messages(connection, begun.ref.campaign_id)

    assert {outcome.value for outcome in outcomes} == {PieceOutcome(1)}
    assert count == 1
