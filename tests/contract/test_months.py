"""What closing months promises: the same suite in memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import msgspec
import pytest
from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.months import ClosedMonth, Months
from semalink.application.statements import Statement, decode_statement
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import OnBehalf
from semalink.domain.errors import (
    MonthNotClosed,
    MonthNotFinished,
    MonthOutOfOrder,
    StatementNotFound,
)
from semalink.domain.ids import ACCOUNT_PREFIX, format_id
from semalink_adapters.memory_ledger import MemoryLedger
from semalink_adapters.memory_months import MemoryMonths
from semalink_adapters.postgres.group_commit import GroupCommit
from semalink_adapters.postgres.months import PostgresMonths
from semalink_adapters.postgres.queries import open_pool

#: Entries are recorded by the clock of the ledger, so the month that is closed is that of now.
MONTH = month_of(datetime.now(UTC))
NEXT = month_of(month_bounds(MONTH)[1])
BEFORE = month_of(month_bounds(MONTH)[0] - timedelta(hours=1))

_numbers = count(1)


@dataclass
class World:
    ledger: Ledger
    months: Months
    #: What the clock by which months end says.
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def close(self, month: str, cause: Cause) -> tuple[ClosedMonth, bool]:
        """Close a month when the clock says the time of the cause."""
        self.now = cause.at
        return await self.months.close(month, cause)


@dataclass(frozen=True, slots=True)
class Send(PlainCommand):
    """Reserves and charges for an agent's customer."""

    account_id: UUID
    customer_id: UUID
    cause: Cause

    def needs(self, needs: Needs) -> None:
        needs.credit_accounts.add(self.account_id)
        needs.spending.add((self.customer_id, MONTH))

    def decide(self, books: Books) -> None:
        account = books.credit_account(self.account_id)
        reservation_id = uuid7()
        on_behalf = OnBehalf(self.customer_id, 800, MONTH)
        account.reserve(reservation_id, 500, self.cause, on_behalf=on_behalf)
        account.charge(reservation_id, self.cause)


@asynccontextmanager
async def _in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    world = World(ledger, MemoryMonths(ledger, lambda: world.now))
    yield world


@asynccontextmanager
async def _on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
    database_url = fixture("database_url")
    pool = open_pool(database_url, size=1)
    await pool.open()
    try:
        async with GroupCommit(database_url) as ledger:

            async def read_time(_: object) -> datetime:
                return world.now

            world = World(ledger, PostgresMonths(pool, ledger, database_url, read_time=read_time))
            yield world
    finally:
        await pool.close()


@pytest.fixture(
    params=[pytest.param(_in_memory, id="memory"), pytest.param(_on_postgres, id="postgres")]
)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A ledger with nothing in it."""
    async with request.param(request.getfixturevalue) as world:
        yield world


def _cause(at: datetime | None = None) -> Cause:
    return Cause("cli:finance", at or datetime.now(UTC), f"req_{next(_numbers)}")


def _after(month: str) -> Cause:
    return _cause(month_bounds(month)[1] + timedelta(minutes=1))


async def _open(world: World, kind: Kind = Kind.DIRECT, agent_id: UUID | None = None) -> UUID:
    account_id = uuid7()
    command = OpenAccount(account_id, "Contract", kind, Tier.STARTER, _cause(), agent_id=agent_id)
    await world.ledger.execute(command)
    return account_id


async def _top_up(world: World, account_id: UUID, amount_micros: int = 10_000) -> None:
    reference = f"payment-{next(_numbers)}"
    await world.ledger.execute(TopUp(account_id, amount_micros, reference, _cause()))


async def _statement(world: World, account_id: UUID, month: str = MONTH) -> Statement:
    return decode_statement(await world.months.statement(account_id, month))


async def test_close_freezes_where_every_account_stands(world: World) -> None:
    first, second = await _open(world), await _open(world)
    await _top_up(world, first)
    await _top_up(world, second, 500)

    closed, closed_before = await world.close(MONTH, _after(MONTH))

    assert not closed_before
    assert (closed.month, closed.account_count, closed.entry_count) == (MONTH, 2, 4)
    assert (closed.posted_micros, closed.reserved_micros) == (10_500, 0)
    assert closed.closed_by == "cli:finance"
    assert list(await world.months.closed()) == [closed]


async def test_close_says_so_when_the_month_was_closed_before(world: World) -> None:
    account_id = await _open(world)
    first, _ = await world.close(MONTH, _after(MONTH))
    await _top_up(world, account_id)

    second, closed_before = await world.close(MONTH, _after(NEXT))

    assert closed_before
    assert second == first
    assert len(await world.months.closed()) == 1


async def test_close_of_one_month_by_many_closes_it_once(world: World) -> None:
    await _top_up(world, await _open(world))

    answers = await asyncio.gather(*(world.close(MONTH, _after(MONTH)) for _ in range(3)))

    assert sorted(closed_before for _, closed_before in answers) == [False, True, True]
    assert len({closed.positions_sha256 for closed, _ in answers}) == 1


async def test_close_is_refused_while_the_month_lasts(world: World) -> None:
    await _open(world)
    end = month_bounds(MONTH)[1]

    with pytest.raises(MonthNotFinished):
        await world.close(MONTH, _cause(end + timedelta(seconds=14)))

    assert await world.months.closed() == []


async def test_close_goes_by_the_clock_and_not_by_the_time_of_who_asks(world: World) -> None:
    await _open(world)
    world.now = month_bounds(MONTH)[1]

    with pytest.raises(MonthNotFinished):
        await world.months.close(MONTH, _after(MONTH))

    world.now += timedelta(minutes=1)
    _, closed_before = await world.months.close(MONTH, _cause(month_bounds(MONTH)[0]))
    assert not closed_before


@pytest.mark.parametrize("month", [BEFORE, NEXT])
async def test_close_is_refused_when_another_month_comes_first(world: World, month: str) -> None:
    await _open(world)

    with pytest.raises(MonthOutOfOrder, match=MONTH):
        await world.close(month, _after(NEXT))


async def test_close_is_refused_when_there_is_no_entry(world: World) -> None:
    with pytest.raises(MonthOutOfOrder, match="no entry"):
        await world.close(BEFORE, _after(MONTH))


async def test_a_statement_is_the_same_bytes_after_more_entries(world: World) -> None:
    account_id = await _open(world)
    await _top_up(world, account_id)
    await world.close(MONTH, _after(MONTH))
    before = await world.months.statement(account_id, MONTH)

    # What is recorded late, by the clock, belongs to the next month: nothing is lost.
    await _top_up(world, account_id, 700)
    await world.close(NEXT, _after(NEXT))
    later = await _statement(world, account_id, NEXT)

    assert await world.months.statement(account_id, MONTH) == before
    assert later.opening == decode_statement(before).closing
    assert [one.amount_micros for one in later.singles] == [700]
    assert list(await world.months.statement_months(account_id)) == [NEXT, MONTH]


async def test_statements_of_an_agent_and_its_customer_tell_each_its_own(world: World) -> None:
    agent_id = await _open(world, Kind.AGENT)
    customer_id = await _open(world, Kind.CUSTOMER, agent_id)
    await _top_up(world, agent_id)
    await world.ledger.execute(Send(agent_id, customer_id, _cause()))
    await world.close(MONTH, _after(MONTH))

    agent = await _statement(world, agent_id)
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
    agent_id = await _open(world, Kind.AGENT)
    customer_id = await _open(world, Kind.CUSTOMER, agent_id)

    closed, _ = await world.close(MONTH, _after(MONTH))

    assert closed.account_count == 2
    with pytest.raises(StatementNotFound):
        await world.months.statement(customer_id, MONTH)


async def test_statement_is_refused_while_the_month_is_open(world: World) -> None:
    account_id = await _open(world)

    with pytest.raises(MonthNotClosed):
        await world.months.statement(account_id, MONTH)

    assert list(await world.months.statement_months(account_id)) == []


async def test_statement_is_refused_when_the_account_has_none(world: World) -> None:
    await _open(world)
    await world.close(MONTH, _after(MONTH))

    with pytest.raises(StatementNotFound):
        await world.months.statement(uuid7(), MONTH)
