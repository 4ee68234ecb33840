"""A scheduler that has nothing to do: what it asks the database, and what wakes it."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool
from uuid_utils.compat import uuid7

from semalink.application.campaign_keeping import CampaignKeeper, Scheduler
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.submission import Policy
from semalink.domain.campaign import Campaign
from semalink.domain.campaign_plan import Plan, Totals
from semalink.domain.cause import Cause
from semalink_adapters.postgres.queries import open_pool
from semalink_adapters.postgres.schedule_book import CAMPAIGN_CHANNEL, PostgresScheduleBook

#: Of both loops, in a minute in which nothing is due or under way.
IDLE_QUERIES_MAX = 12


ADD_PIECE = """
INSERT INTO tasks (task_id, queue, kind, account_id, payload, state) VALUES (
    gen_random_uuid(), 'sms.content', 'accept_piece', %(id)s,
    jsonb_build_object('campaign_id', %(id)s::uuid, 'first', 0, 'size', 2), %(state)s)"""


class Made(PlainCommand):
    """Make a campaign that is to start in an hour, or one that was cancelled after its start."""

    def __init__(self, *, is_cancelled: bool = False, hours_ahead: int = 1) -> None:
        self.start_in = timedelta(hours=hours_ahead)
        self.cause = Cause("key:duka", datetime.now(UTC), "req_1")
        self.campaign_id = uuid7()
        self.is_cancelled = is_cancelled

    def needs(self, needs: Needs) -> None:
        """Nothing: it is new."""

    def decide(self, books: Books) -> None:
        account_id = uuid7()
        plan = Plan("Offer", "SEMA", "Karibu")
        campaign = Campaign.draft(
            self.campaign_id, account_id, account_id, "test", plan, self.cause
        )
        campaign.start_check(self.cause, schedules=True)
        campaign.record_check(Totals(1, 1, {}, {}, {}, 1, 1, 1), self.cause)
        start_at = self.cause.at + self.start_in
        campaign.schedule(start_at, self.cause, needs_approval=False)
        if self.is_cancelled:
            campaign.start(0, self.cause)
            campaign.cancel("mistake", self.cause)
        books.add(campaign)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with open_pool(database_url, size=1) as opened:
        yield opened


async def _live(step: Callable[[], Any], seconds: float) -> None:
    """Take steps as long as their sleeps last."""
    while seconds > 0:
        seconds -= await step()


async def test_idle_minute_costs_a_handful_of_queries(
    pool: AsyncConnectionPool[Any], ledger: Ledger
) -> None:
    queries: list[None] = []
    book = PostgresScheduleBook(pool, on_query=lambda: queries.append(None))
    await ledger.execute(Made())

    await _live(Scheduler(book, ledger, new_request_id=lambda: "job_1").start_due, 60)
    keeper = CampaignKeeper(
        book, ledger, now=lambda: datetime.now(UTC), new_request_id=lambda: "job_1", policy=Policy()
    )
    await _live(keeper.step, 60)

    assert 0 < len(queries) <= IDLE_QUERIES_MAX


async def test_scheduling_wakes_whoever_listens(database_url: str, ledger: Ledger) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as listener:
        await listener.execute(f"LISTEN {CAMPAIGN_CHANNEL}")

        await ledger.execute(Made())
        heard = [notice async for notice in listener.notifies(timeout=5, stop_after=1)]

    assert [notice.channel for notice in heard] == [CAMPAIGN_CHANNEL]


@pytest.mark.parametrize(("state", "is_settled"), [("parked", True), ("queued", False)])
async def test_step_settles_a_cancelled_campaign_unless_somebody_is_at_a_piece(
    database_url: str,
    pool: AsyncConnectionPool[Any],
    ledger: Ledger,
    state: str,
    is_settled: bool,  # noqa: FBT001 - a case of the table
) -> None:
    made = Made(is_cancelled=True)
    await ledger.execute(made)
    with psycopg.connect(database_url) as connection:
        connection.execute(ADD_PIECE, {"id": made.campaign_id, "state": state})
    book = PostgresScheduleBook(pool)

    keeper = CampaignKeeper(
        book, ledger, now=lambda: datetime.now(UTC), new_request_id=lambda: "job_1", policy=Policy()
    )
    await keeper.step()

    assert (await book.under_way() == []) is is_settled


@pytest.mark.parametrize(("shared", "may"), [(["SEMA", "OTHER"], True), (["OTHER"], False)])
async def test_claim_due_tells_whether_the_sender_id_may_still_be_used(
    pool: AsyncConnectionPool[Any],
    ledger: Ledger,
    shared: list[str],
    may: bool,  # noqa: FBT001 - a case of the table
) -> None:
    await ledger.execute(Made(hours_ahead=-1))
    book = PostgresScheduleBook(pool, shared_senders=shared)

    [due] = await book.claim_due(9, 60.0)

    assert due.may_use_sender is may
