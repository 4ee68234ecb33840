"""A ledger and its months, in memory and on PostgreSQL, for the suites of both."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from semalink.application.accounts import OpenAccount, TopUp
from semalink.application.ledger import Books, Ledger, Needs, PlainCommand
from semalink.application.months import ClosedMonth, Months
from semalink.application.statements import Statement, decode_statement
from semalink.domain.account import Kind, Tier
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_entries import OnBehalf
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
async def in_memory(_: Callable[[str], Any]) -> AsyncIterator[World]:
    ledger = MemoryLedger()
    world = World(ledger, MemoryMonths(ledger, lambda: world.now))
    yield world


@asynccontextmanager
async def on_postgres(fixture: Callable[[str], Any]) -> AsyncIterator[World]:
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


def cause_at(at: datetime | None = None) -> Cause:
    return Cause("cli:finance", at or datetime.now(UTC), f"req_{next(_numbers)}")


def after(month: str) -> Cause:
    return cause_at(month_bounds(month)[1] + timedelta(minutes=1))


async def open_account(
    world: World, kind: Kind = Kind.DIRECT, agent_id: UUID | None = None
) -> UUID:
    account_id = uuid7()
    command = OpenAccount(account_id, "Contract", kind, Tier.STARTER, cause_at(), agent_id=agent_id)
    await world.ledger.execute(command)
    return account_id


async def top_up(world: World, account_id: UUID, amount_micros: int = 10_000) -> None:
    reference = f"payment-{next(_numbers)}"
    await world.ledger.execute(TopUp(account_id, amount_micros, reference, cause_at()))


async def statement_of(world: World, account_id: UUID, month: str = MONTH) -> Statement:
    return decode_statement(await world.months.statement(account_id, month))
