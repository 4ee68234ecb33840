"""Months of a ledger in memory; for tests."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from semalink.application.months import (
    ClosedMonth,
    FrozenPosition,
    JournalBalance,
    TrialBalance,
    check_may_close,
    closed_month,
    closing_of,
)
from semalink.application.statements import (
    NOTHING,
    Position,
    StatementBuilder,
    encode_statement,
)
from semalink.domain.account import Account
from semalink.domain.accounting_month import AccountingMonth
from semalink.domain.calendar import month_bounds, month_of
from semalink.domain.cause import Cause
from semalink.domain.credit_account import CreditAccount
from semalink.domain.errors import MonthNotClosed, StatementNotFound
from semalink.domain.postings import JOURNAL_ACCOUNTS, postings_of
from semalink_adapters.memory_ledger import MemoryLedger

#: The ledger in memory seals nothing.
_NO_HASH = bytes(32)


class MemoryMonths:
    """Closes months by the time that entries tell, once a clock says that they are over."""

    def __init__(self, ledger: MemoryLedger, read_time: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._read_time = read_time
        self._positions: dict[str, dict[UUID, FrozenPosition]] = {}
        self._statements: dict[tuple[UUID, str], bytes] = {}

    async def close(self, month: str, cause: Cause) -> tuple[ClosedMonth, bool]:
        """Close a month and return it, and whether it was closed before."""
        closed = await self.closed()
        for one in closed:
            if one.month == month:
                return one, True
        before = closed[0].month if closed else None
        moments = [entry.timestamp for entries in self._streams().values() for entry in entries]
        check_may_close(month, self._read_time(), before, min(moments, default=None))
        opened = self._positions.get(before or "", {})
        positions = self._positions.setdefault(month, {})
        for account_id, entries in sorted(self._streams().items()):
            opening = opened[account_id].closing if account_id in opened else NOTHING
            self._freeze(month, opening, _before(entries, month_bounds(month)[1]))
        answer = await self._ledger.execute(closing_of(month, positions.values(), cause))
        return answer.value, False

    async def closed(self) -> Sequence[ClosedMonth]:
        """Return all closed months, newest first."""
        events = [stream[0] for stream in self._ledger.streams[AccountingMonth].values()]
        found = [closed_month(event) for event in events]
        return sorted(found, key=lambda one: one.month, reverse=True)

    async def statement_months(self, account_id: UUID) -> Sequence[str]:
        """Return the closed months of which an account has a statement, newest first."""
        months = [month for owner, month in self._statements if owner == account_id]
        return sorted(months, reverse=True)

    async def statement(self, account_id: UUID, month: str) -> bytes:
        """Return the stored document; raises MonthNotClosed or StatementNotFound."""
        if month not in self._positions:
            raise MonthNotClosed
        document = self._statements.get((account_id, month))
        if document is None:
            raise StatementNotFound
        return document

    async def trial_balance(self, month: str | None) -> TrialBalance:
        """Return the sums of the journal, up to the end of a month or up to now."""
        held = [one for one in self._entries() if month is None or month_of(one.timestamp) <= month]
        moved = [one for one in held if month is None or month_of(one.timestamp) == month]
        accounts = [
            JournalBalance(name, _sum(name, moved), _sum(name, held)) for name in JOURNAL_ACCOUNTS
        ]
        return TrialBalance(
            month=month,
            accounts=accounts,
            sum_micros=sum(account.balance_micros for account in accounts),
            entry_count=len(moved),
            compared_count=len(self._streams()),
            behind_count=0,
            differing=[],
        )

    def _freeze(self, month: str, opening: Position, entries: Sequence[Any]) -> None:
        if not entries:
            return
        last = entries[-1]
        closing = Position(
            last.originator_version,
            last.posted_after_micros,
            last.reserved_after_micros,
            last.credit_limit_after_micros,
        )
        account_id = last.originator_id
        position = FrozenPosition(account_id, opening, closing, _NO_HASH)
        builder = StatementBuilder(month, account_id, opening)
        for entry in entries[opening.version :]:
            builder.add(entry.originator_version, entry.timestamp, entry)
        self._positions[month][account_id] = position
        for owner, statement in builder.build(closing, _NO_HASH).items():
            account = self._ledger.load(Account, owner)
            # What a customer spent of its agent's credits is its statement, and there is no other.
            if owner != account_id or account is None or account.pays_itself:
                self._statements[owner, month] = encode_statement(statement)

    def _streams(self) -> dict[UUID, list[Any]]:
        return self._ledger.streams[CreditAccount]

    def _entries(self) -> Iterator[Any]:
        for entries in self._streams().values():
            yield from entries


def _before(entries: Sequence[Any], end: datetime) -> Sequence[Any]:
    return [entry for entry in entries if entry.timestamp < end]


def _sum(name: str, entries: Sequence[Any]) -> int:
    return sum(int(getattr(postings_of(entry), name)) for entry in entries)
