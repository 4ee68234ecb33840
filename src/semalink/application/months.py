"""Closing months: what may be closed when, and what is kept of it."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from semalink.application.ledger import Books, Needs, PlainCommand
from semalink.application.statements import Position
from semalink.domain.accounting_month import AccountingMonth, accounting_month_id
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.errors import MonthNotFinished, MonthOutOfOrder

#: A month may be closed so long after its end, by the clock that entries are recorded by.
GRACE = timedelta(seconds=15)


class ClosedMonth(msgspec.Struct, frozen=True):
    """A month that was closed, and what it came to. Money in micros of a credit."""

    month: str
    account_count: int
    entry_count: int
    posted_micros: int
    reserved_micros: int
    #: SHA-256 over the positions of all accounts.
    positions_sha256: str
    closed_by: str
    closed_at: datetime


class JournalBalance(msgspec.Struct, frozen=True):
    """One account of the journal, in signed micros: debits are positive, credits negative."""

    account: str
    #: What was posted in the month, or ever when no month is asked for.
    movement_micros: int
    #: At the end of the month, or now.
    balance_micros: int


class TrialBalance(msgspec.Struct, frozen=True):
    """The sums of the journal; they add up to nothing, and equal the balances of the ledger."""

    month: str | None
    accounts: list[JournalBalance]
    sum_micros: int
    entry_count: int
    #: Billing accounts whose journal is up to their newest entry and was compared with it.
    compared_count: int
    #: Billing accounts with entries that are not in the journal yet.
    behind_count: int
    #: Billing accounts, by id, whose journal differs from their balance; at most 100.
    differing: list[str]

    @property
    def is_sound(self) -> bool:
        """Whether it adds up to nothing and no account differs."""
        return self.sum_micros == 0 and not self.differing


@dataclass(frozen=True, slots=True)
class FrozenPosition:
    """Where a billing account stood at the begin and at the end of a month."""

    account_id: UUID
    opening: Position
    closing: Position
    entry_hash: bytes

    @property
    def entry_count(self) -> int:
        """How many entries the month has."""
        return self.closing.version - self.opening.version


class StatementAltered(Exception):
    """A stored statement is not what was stored when its month was closed."""


class Months(Protocol):
    """Closes months and shows what closed ones left; raises ReadsUnavailable."""

    async def close(self, month: str, cause: Cause) -> tuple[ClosedMonth, bool]:
        """Close a month and return it, and whether it was closed before.

        The clock that entries are recorded by decides whether the month is over. Raises
        MonthNotFinished or MonthOutOfOrder. An interrupted closing goes on when asked again.
        """
        ...

    async def closed(self) -> Sequence[ClosedMonth]:
        """Return all closed months, newest first."""
        ...

    async def statement_months(self, account_id: UUID) -> Sequence[str]:
        """Return the closed months of which an account has a statement, newest first."""
        ...

    async def statement(self, account_id: UUID, month: str) -> bytes:
        """Return the stored document of a closed month; of an open one, what happened so far.

        Raises MonthNotClosed when the month has not begun or has too many entries to be read
        before it is closed, StatementNotFound or StatementAltered.
        """
        ...

    async def open_months(self, account_id: UUID) -> Sequence[str]:
        """Return the months that began and are not closed, of an account's time, newest first."""
        ...

    async def trial_balance(self, month: str | None) -> TrialBalance:
        """Return the sums of the journal, up to the end of a month or up to now."""
        ...


@dataclass(frozen=True, slots=True)
class RecordClosing(PlainCommand):
    """Record that a month was closed; its positions are frozen before."""

    month: str
    account_count: int
    entry_count: int
    posted_micros: int
    reserved_micros: int
    positions_sha256: str
    cause: Cause

    def needs(self, needs: Needs) -> None:
        """The month."""
        needs.settings.add(accounting_month_id(self.month))

    def decide(self, books: Books) -> ClosedMonth:
        """Close the month, unless someone did; return what it came to either way."""
        closed = books.find(AccountingMonth, accounting_month_id(self.month))
        if closed is None:
            closed = AccountingMonth.close(
                self.month,
                self.cause,
                account_count=self.account_count,
                entry_count=self.entry_count,
                posted_micros=self.posted_micros,
                reserved_micros=self.reserved_micros,
                positions_sha256=self.positions_sha256,
            )
            books.add(closed)
        return closed_month(closed.closed)


def closed_month(event: AccountingMonth.Created) -> ClosedMonth:
    """Return what an event says of the month that it closed."""
    return ClosedMonth(
        month=event.month,
        account_count=event.account_count,
        entry_count=event.entry_count,
        posted_micros=event.posted_micros,
        reserved_micros=event.reserved_micros,
        positions_sha256=event.positions_sha256,
        closed_by=event.actor,
        closed_at=event.timestamp,
    )


def closing_of(month: str, positions: Iterable[FrozenPosition], cause: Cause) -> RecordClosing:
    """Return the command that closes a month with these positions, given in account order."""
    digest = hashlib.sha256(month.encode())
    account_count = entry_count = posted_micros = reserved_micros = 0
    for position in positions:
        account_count += 1
        entry_count += position.entry_count
        posted_micros += position.closing.posted_micros
        reserved_micros += position.closing.reserved_micros
        digest.update(_sealed(position))
    return RecordClosing(
        month,
        account_count,
        entry_count,
        posted_micros,
        reserved_micros,
        digest.hexdigest(),
        cause,
    )


def open_months_of(
    first_entry_at: datetime | None, last_closed: str | None, now: datetime
) -> list[str]:
    """Return the months since an account's first entry that are not closed, newest first."""
    if first_entry_at is None:
        return []
    begin = month_bounds(month_of(first_entry_at))[0]
    if last_closed is not None:
        begin = max(begin, month_bounds(last_closed)[1])
    found: list[str] = []
    while begin <= now:
        found.append(month_of(begin))
        begin = month_bounds(found[-1])[1]
    return found[::-1]


def check_may_close(
    month: str, now: datetime, last_closed: str | None, first_entry_at: datetime | None
) -> None:
    """Refuse a month that is not over, or before which another has to be closed."""
    _, end = month_bounds(month)
    if now < end + GRACE:
        raise MonthNotFinished(month)
    if last_closed is not None:
        expected: str | None = month_of(month_bounds(last_closed)[1])
    else:
        expected = None if first_entry_at is None else month_of(first_entry_at)
    if month != expected:
        raise MonthOutOfOrder(expected)


def _sealed(position: FrozenPosition) -> bytes:
    # JSON arrays of numbers and hexadecimal text have one form, so that anyone can hash again.
    return msgspec.json.encode(
        [
            position.account_id.hex,
            *msgspec.structs.astuple(position.opening),
            *msgspec.structs.astuple(position.closing),
            position.entry_hash.hex(),
        ]
    )
