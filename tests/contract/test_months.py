"""What closing months promises: the same suite in memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
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

from semalink.application.statements import decode_statement
from semalink.domain.account import Kind
from semalink.domain.calendar import month_bounds
from semalink.domain.errors import (
    MonthNotFinished,
    MonthOutOfOrder,
    StatementNotFound,
)
from semalink.domain.ids import ACCOUNT_PREFIX, format_id


@pytest.fixture(
    params=[pytest.param(in_memory, id="memory"), pytest.param(on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with nothing in it."""
    async with request.param(request.getfixturevalue) as world:
        yield world


async def test_close_freezes_where_every_account_stands(world: World) -> None:
    first, second = await open_account(world), await open_account(world)
    await top_up(world, first)
    await top_up(world, second, 500)

    closed, closed_before = await world.close(MONTH, after(MONTH))

    assert not closed_before
    assert (closed.month, closed.account_count, closed.entry_count) == (MONTH, 2, 4)
    assert (closed.posted_micros, closed.reserved_micros) == (10_500, 0)
    assert closed.closed_by == "cli:finance"
    assert list(await world.months.closed()) == [closed]


async def test_close_says_so_when_the_month_was_closed_before(world: World) -> None:
    account_id = await open_account(world)
    first, _ = await world.close(MONTH, after(MONTH))
    await top_up(world, account_id)

    second, closed_before = await world.close(MONTH, after(NEXT))

    assert closed_before
    assert second == first
    assert len(await world.months.closed()) == 1


async def test_close_of_one_month_by_many_closes_it_once(world: World) -> None:
    await top_up(world, await open_account(world))

    answers = await asyncio.gather(*(world.close(MONTH, after(MONTH)) for _ in range(3)))

    assert sorted(closed_before for _, closed_before in answers) == [False, True, True]
    assert len({closed.positions_sha256 for closed, _ in answers}) == 1


async def test_close_is_refused_while_the_month_lasts(world: World) -> None:
    await open_account(world)
    end = month_bounds(MONTH)[1]

    with pytest.raises(MonthNotFinished):
        await world.close(MONTH, cause_at(end + timedelta(seconds=14)))

    assert await world.months.closed() == []


async def test_close_goes_by_the_clock_and_not_by_the_time_of_who_asks(world: World) -> None:
    await open_account(world)
    world.now = month_bounds(MONTH)[1]

    with pytest.raises(MonthNotFinished):
        await world.months.close(MONTH, after(MONTH))

    world.now += timedelta(minutes=1)
    _, closed_before = await world.months.close(MONTH, cause_at(month_bounds(MONTH)[0]))
    assert not closed_before


@pytest.mark.parametrize("month", [BEFORE, NEXT])
async def test_close_is_refused_when_another_month_comes_first(world: World, month: str) -> None:
    await open_account(world)

    with pytest.raises(MonthOutOfOrder, match=MONTH):
        await world.close(month, after(NEXT))


async def test_close_is_refused_when_there_is_no_entry(world: World) -> None:
    with pytest.raises(MonthOutOfOrder, match="no entry"):
        await world.close(BEFORE, after(MONTH))


async def test_a_statement_is_the_same_bytes_after_more_entries(world: World) -> None:
    account_id = await open_account(world)
    await top_up(world, account_id)
    await world.close(MONTH, after(MONTH))
    before = await world.months.statement(account_id, MONTH)

    # What is recorded late, by the clock, belongs to the next month: nothing is lost.
    await top_up(world, account_id, 700)
    await world.close(NEXT, after(NEXT))
    later = await statement_of(world, account_id, NEXT)

    assert await world.months.statement(account_id, MONTH) == before
    assert later.opening == decode_statement(before).closing
    assert [one.amount_micros for one in later.singles] == [700]
    assert list(await world.months.statement_months(account_id)) == [NEXT, MONTH]


async def test_statements_of_an_agent_and_its_customer_tell_each_its_own(world: World) -> None:
    agent_id = await open_account(world, Kind.AGENT)
    customer_id = await open_account(world, Kind.CUSTOMER, agent_id)
    await top_up(world, agent_id)
    await world.ledger.execute(Send(agent_id, customer_id, cause_at()))
    await world.close(MONTH, after(MONTH))

    agent = await statement_of(world, agent_id)
    customer = await world.months.statement(customer_id, MONTH)

    [line] = agent.customers
    assert line.account_id == format_id(ACCOUNT_PREFIX, customer_id)
    assert (line.price_micros, line.cost_micros, line.margin_micros) == (800, 500, 300)
    assert agent.closing is not None
    assert agent.closing.posted_micros == 9_500
    shown = decode_statement(customer)
    assert {day.kind: day.amount_micros for day in shown.days} == {"charged": 800, "reserved": 800}
    assert shown.opening is shown.closing is shown.closing_entry_hash is None
    assert agent_id.hex not in customer.decode()
    assert b"500" not in msgspec.json.encode(shown.days)


async def test_customer_that_sent_nothing_has_no_statement_when_its_agent_pays(
    world: World,
) -> None:
    agent_id = await open_account(world, Kind.AGENT)
    customer_id = await open_account(world, Kind.CUSTOMER, agent_id)

    closed, _ = await world.close(MONTH, after(MONTH))

    assert closed.account_count == 2
    with pytest.raises(StatementNotFound):
        await world.months.statement(customer_id, MONTH)


async def test_statement_is_refused_when_the_account_has_none(world: World) -> None:
    await open_account(world)
    await world.close(MONTH, after(MONTH))

    with pytest.raises(StatementNotFound):
        await world.months.statement(uuid7(), MONTH)
