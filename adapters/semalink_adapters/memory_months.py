"""Months of a ledger in memory; for tests."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
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
    open_months_of,
)
from semalink.application.statements import (
    NOTHING,
    Position,
    Statement,
    StatementBuilder,
    encode_statement,
    position_after,
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
        """Return the stored document of a closed month; of an open one, what happened so far."""
        if month not in self._positions:
            return self._so_far(account_id, month)
        document = self._statements.get((account_id, month))
        if document is None:
            raise StatementNotFound
        return document

    async def open_months(self, account_id: UUID) -> Sequence[str]:
        """Return the months that began and are not closed, of an account's time, newest first."""
        own = self._streams().get(account_id)
        first_entry_at = own[0].timestamp if own else None
        found = open_months_of(
            first_entry_at, max(self._positions, default=None), self._read_time()
        )
        account = self._ledger.load(Account, account_id)
        if account is None or account.pays_itself:
            return found
        return [month for month in found if self._spent(account_id, month)]

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
        account_id = entries[-1].originator_id
        closing = _end_of(entries)
        position = FrozenPosition(account_id, opening, closing, _NO_HASH)
        self._positions[month][account_id] = position
        for owner, statement in _built(month, opening, entries).items():
            account = self._ledger.load(Account, owner)
            # What a customer spent of its agent's credits is its statement, and there is no other.
            if owner != account_id or account is None or account.pays_itself:
                self._statements[owner, month] = encode_statement(statement)

    def _so_far(self, account_id: UUID, month: str) -> bytes:
        now = self._read_time()
        start, end = month_bounds(month)
        if now < start:
            raise MonthNotClosed
        account = self._ledger.load(Account, account_id)
        payer_id = account_id if account is None else account.billing_account_id
        entries = _before(self._streams().get(payer_id, ()), end)
        frozen = self._positions.get(month_of(start - timedelta(days=1)), {}).get(payer_id)
        opening = _end_of(_before(entries, start)) if frozen is None else frozen.closing
        made = _built(month, opening, entries, now) if entries else {}
        if account_id not in made:
            raise StatementNotFound
        return encode_statement(made[account_id])

    def _spent(self, account_id: UUID, month: str) -> bool:
        return any(
            getattr(entry, "sub_account_id", None) == account_id
            and month_of(entry.timestamp) == month
            for entry in self._entries()
        )

    def _streams(self) -> dict[UUID, list[Any]]:
        return self._ledger.streams[CreditAccount]

    def _entries(self) -> Iterator[Any]:
        for entries in self._streams().values():
            yield from entries


def _end_of(entries: Sequence[Any]) -> Position:
    return position_after(entries[-1].originator_version, entries[-1]) if entries else NOTHING


def _built(
    month: str, opening: Position, entries: Sequence[Any], as_of: datetime | None = None
) -> dict[UUID, Statement]:
    builder = StatementBuilder(month, entries[-1].originator_id, opening)
    for entry in entries[opening.version :]:
        builder.add(entry.originator_version, entry.timestamp, entry)
    return builder.build(_end_of(entries), _NO_HASH, as_of=as_of)


def _before(entries: Sequence[Any], end: datetime) -> Sequence[Any]:
    return [entry for entry in entries if entry.timestamp < end]


def _sum(name: str, entries: Sequence[Any]) -> int:
    return sum(int(getattr(postings_of(entry), name)) for entry in entries)
