"""What statements of open months promise: the same suite in memory and on PostgreSQL."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import pytest
from tests.contract.month_worlds import (
    BEFORE,
    MONTH,
    NEXT,
    Send,
    World,
    after,
    cause_at,
    in_memory,
    on_postgres,
    open_account,
    statement_of,
    top_up,
)
from uuid_utils.compat import uuid7

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.statements import CampaignLine, Statement
from semalink.domain.account import Kind
from semalink.domain.calendar import month_bounds
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.errors import MonthNotClosed, StatementNotFound
from semalink.domain.ids import CAMPAIGN_PREFIX, format_id

#: What each message of the campaign costs whoever pays, and is sold at.
COST_MICROS, PRICE_MICROS = 500, 800


@pytest.fixture(
    params=[pytest.param(in_memory, id="memory"), pytest.param(on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with nothing in it."""
    async with request.param(request.getfixturevalue) as world:
        yield world


@dataclass(frozen=True, slots=True)
class LiveThrough(PlainCommand):
    """A campaign of four messages: three charged, one of them refunded, and one never sent."""

    campaign_id: UUID
    payer_id: UUID
    customer_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.payer_id)
        if self.customer_id != self.payer_id:
            needs.spending.add((self.customer_id, MONTH))

    def decide(self, books: Books) -> None:
        account, id_ = books.credit_account(self.payer_id), self.campaign_id
        account.reserve(
            id_,
            4 * COST_MICROS,
            self.cause,
            on_behalf=self._on_behalf(4 * PRICE_MICROS),
            campaign_id=id_,
        )
        price = None if self.customer_id == self.payer_id else PRICE_MICROS
        for number in range(3):
            charged = account.charge(
                id_,
                self.cause,
                amount_micros=COST_MICROS,
                price_micros=price,
                message_id=UUID(int=number + 1),
            )
        account.refund(
            id_,
            COST_MICROS,
            self.cause,
            on_behalf=self._on_behalf(PRICE_MICROS),
            charge_version=charged.version,
            message_id=UUID(int=3),
            campaign_id=id_,
        )
        account.release(id_, self.cause)

    def _on_behalf(self, price_micros: int) -> OnBehalf | None:
        if self.customer_id == self.payer_id:
            return None
        return OnBehalf(self.customer_id, price_micros, MONTH)


def campaign_lines(campaign_id: UUID, micros: int) -> list[CampaignLine]:
    """What a statement shows of the campaign, at so much a message."""
    shown = format_id(CAMPAIGN_PREFIX, campaign_id)
    return [
        CampaignLine(shown, "charged", 3, 3 * micros),
        CampaignLine(shown, "refunded", 1, micros),
        CampaignLine(shown, "released", 1, micros),
        CampaignLine(shown, "reserved", 1, 4 * micros),
    ]


def final(statement: Statement) -> tuple[object, ...]:
    """What a statement says, without whether it is final."""
    fields = [name for name in Statement.__struct_fields__ if name not in {"closed", "as_of"}]
    return tuple(getattr(statement, name) for name in fields)


async def test_statement_of_an_open_month_is_what_happened_so_far(world: World) -> None:
    account_id = await open_account(world)
    await top_up(world, account_id, 700)
    first = await statement_of(world, account_id)
    await top_up(world, account_id, 300)

    second = await statement_of(world, account_id)

    assert (first.closed, second.closed) == (False, False)
    assert first.as_of is not None
    assert [one.amount_micros for one in first.singles] == [700]
    assert [one.amount_micros for one in second.singles] == [700, 300]
    assert second.closing is not None
    assert (second.closing.version, second.closing.posted_micros) == (3, 1_000)


async def test_statement_so_far_becomes_the_one_that_is_kept(world: World) -> None:
    account_id, campaign_id = await open_account(world), uuid7()
    await top_up(world, account_id)
    command = LiveThrough(campaign_id, account_id, account_id, cause_at())
    await world.ledger.execute(command)
    so_far = await statement_of(world, account_id)

    await world.close(MONTH, after(MONTH))

    kept = await statement_of(world, account_id)
    assert final(kept) == final(so_far)
    assert (kept.closed, kept.as_of) == (True, None)
    assert b"as_of" not in await world.months.statement(account_id, MONTH)


async def test_statement_so_far_shows_what_a_campaign_reserved_spent_and_gave_back(
    world: World,
) -> None:
    account_id, campaign_id = await open_account(world), uuid7()
    await top_up(world, account_id)
    command = LiveThrough(campaign_id, account_id, account_id, cause_at())
    await world.ledger.execute(command)

    shown = await statement_of(world, account_id)

    assert shown.campaigns == campaign_lines(campaign_id, COST_MICROS)
    assert {day.kind: day.count for day in shown.days} == {
        "reserved": 1,
        "charged": 3,
        "refunded": 1,
        "released": 1,
    }


async def test_statements_so_far_of_an_agent_and_its_customer_tell_each_its_own(
    world: World,
) -> None:
    agent_id = await open_account(world, Kind.AGENT)
    customer_id = await open_account(world, Kind.CUSTOMER, agent_id)
    await top_up(world, agent_id)
    campaign_id = uuid7()
    await world.ledger.execute(LiveThrough(campaign_id, agent_id, customer_id, cause_at()))

    agent, customer = (
        await statement_of(world, agent_id),
        await statement_of(world, customer_id),
    )

    assert agent.campaigns == campaign_lines(campaign_id, COST_MICROS)
    assert [one.margin_micros for one in agent.customers] == [2 * (PRICE_MICROS - COST_MICROS)]
    assert customer.campaigns == campaign_lines(campaign_id, PRICE_MICROS)
    assert (customer.opening, customer.closing, customer.closed) == (None, None, False)


async def test_statement_so_far_begins_where_the_closed_month_ended(world: World) -> None:
    account_id = await open_account(world)
    await top_up(world, account_id)
    await world.close(MONTH, after(MONTH))
    closed = await statement_of(world, account_id)
    # Recorded late, by the clock: it belongs to the month that follows.
    await top_up(world, account_id, 700)

    so_far = await statement_of(world, account_id, NEXT)

    assert so_far.opening == closed.closing
    assert [one.amount_micros for one in so_far.singles] == [700]


async def test_statement_so_far_begins_where_the_month_before_ended_when_that_is_open_too(
    world: World,
) -> None:
    account_id = await open_account(world)
    await top_up(world, account_id)
    before = await statement_of(world, account_id)
    world.now = month_bounds(NEXT)[0] + timedelta(seconds=1)

    so_far = await statement_of(world, account_id, NEXT)

    assert so_far.opening == so_far.closing == before.closing
    assert (so_far.singles, so_far.days) == ([], [])


async def test_statement_is_refused_when_the_month_has_not_begun(world: World) -> None:
    account_id = await open_account(world)

    with pytest.raises(MonthNotClosed, match="not begun"):
        await world.months.statement(account_id, NEXT)


@pytest.mark.parametrize("month", [BEFORE, MONTH])
async def test_statement_so_far_is_refused_when_the_account_has_none(
    world: World, month: str
) -> None:
    agent_id = await open_account(world, Kind.AGENT)
    customer_id = await open_account(world, Kind.CUSTOMER, agent_id)

    with pytest.raises(StatementNotFound):
        await world.months.statement(customer_id, month)
    with pytest.raises(StatementNotFound):
        await world.months.statement(uuid7(), month)


async def test_open_months_are_those_since_the_first_entry_that_are_not_closed(
    world: World,
) -> None:
    account_id = await open_account(world)
    this = list(await world.months.open_months(account_id))
    world.now = month_bounds(NEXT)[0]
    both = list(await world.months.open_months(account_id))

    await world.close(MONTH, after(MONTH))

    assert (this, both) == ([MONTH], [NEXT, MONTH])
    assert list(await world.months.open_months(account_id)) == [NEXT]
    assert list(await world.months.open_months(uuid7())) == []


async def test_open_months_of_a_customer_are_those_in_which_it_spent(world: World) -> None:
    agent_id = await open_account(world, Kind.AGENT)
    spending = await open_account(world, Kind.CUSTOMER, agent_id)
    silent = await open_account(world, Kind.CUSTOMER, agent_id)
    await top_up(world, agent_id)

    await world.ledger.execute(Send(agent_id, spending, cause_at()))

    assert list(await world.months.open_months(spending)) == [MONTH]
    assert list(await world.months.open_months(silent)) == []
