"""Reads of credits from what a ledger in memory holds; for tests."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from semalink.application.credit_reading import (
    AdjustmentView,
    BalanceView,
    CustomerView,
    EntryFilter,
    EntryView,
    MarginView,
    cost_of,
    customers_balance,
    own_balance,
)
from semalink.application.event_view import entry_view, message_of, movement_view
from semalink.application.reading import ReadsUnavailable
from semalink.domain.account import Account
from semalink.domain.adjustment import Adjustment
from semalink.domain.calendar import month_of
from semalink.domain.credit_account import CreditAccount
from semalink.domain.ids import ACCOUNT_PREFIX, ADJUSTMENT_PREFIX, format_id
from semalink.domain.message import Message
from semalink_adapters.memory_ledger import MemoryLedger


class MemoryCreditReads:
    """Reads of balances, entries, adjustments and customers; now is the last event's time."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        #: When False, nothing can be read.
        self.is_available = True

    async def balance(self, account_id: UUID) -> BalanceView | None:
        """Return what an account may see of the credits it spends."""
        self._check()
        account = self._ledger.load(Account, account_id)
        if account is None:
            return None
        if account.pays_itself:
            return await self.balance_at(account_id, self._now())
        spent = self._ledger.spent.get((account_id, month_of(self._now())), 0)
        return customers_balance(account_id, account.spending_cap_micros, spent, self._now())

    async def balance_at(self, account_id: UUID, at: datetime) -> BalanceView:
        """Return the balance of a billing account at an instant."""
        self._check()
        known = [entry for entry in self._entries(account_id) if entry.timestamp <= at]
        return _balance_after(known[-1], at) if known else own_balance(account_id, 0, (0, 0, 0), at)

    async def balance_after(self, account_id: UUID, entry: int) -> BalanceView | None:
        """Return the balance of a billing account after an entry."""
        self._check()
        for one in self._entries(account_id):
            if one.originator_version == entry:
                return _balance_after(one, one.timestamp)
        return None

    async def entries(
        self, account_id: UUID, wanted: EntryFilter, *, before: int | None, limit: int
    ) -> Sequence[EntryView]:
        """Return entries of a billing account, newest first."""
        self._check()
        found = [
            entry_view(entry, entry.timestamp)
            for entry in reversed(self._entries(account_id))
            if _fits(entry, wanted) and (before is None or entry.originator_version < before)
        ]
        return found[:limit]

    async def movements(
        self,
        account_id: UUID,
        payer_id: UUID,
        wanted: EntryFilter,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[EntryView]:
        """Return what the newest messages of an agent's customer moved, in its own prices."""
        self._check()
        found: list[EntryView] = []
        count = 0
        for message_id in reversed(self._ledger.ids(Message)):
            asked = self._ledger.streams[Message][message_id][0]
            if asked.account_id != account_id or (before is not None and message_id >= before):
                continue
            moved = [
                movement_view(entry, entry.timestamp)
                for entry in reversed(self._entries(payer_id))
                if message_of(entry) == message_id and _fits(entry, wanted)
            ]
            count += bool(moved)
            if count <= limit:
                found += moved
        return found

    async def adjustment(self, adjustment_id: UUID) -> AdjustmentView | None:
        """Return one adjustment."""
        self._check()
        stream = self._ledger.streams[Adjustment].get(adjustment_id)
        return None if stream is None else _adjustment_view(stream)

    async def adjustments(
        self, state: str | None, *, before: UUID | None, limit: int
    ) -> Sequence[AdjustmentView]:
        """Return adjustments, newest first."""
        self._check()
        found = [
            _adjustment_view(self._ledger.streams[Adjustment][one])
            for one in reversed(self._ledger.ids(Adjustment))
            if before is None or one < before
        ]
        return [one for one in found if state in (None, one.state)][:limit]

    async def customers(
        self, agent_id: UUID, *, after: UUID | None, limit: int
    ) -> Sequence[CustomerView]:
        """Return an agent's customers in id order."""
        self._check()
        found = [
            self._customer_view(one)
            for one in self._customers(agent_id)
            if after is None or one.id > after
        ]
        return found[:limit]

    async def customer(self, agent_id: UUID, customer_id: UUID) -> CustomerView | None:
        """Return one customer of an agent."""
        self._check()
        for one in self._customers(agent_id):
            if one.id == customer_id:
                return self._customer_view(one)
        return None

    async def message_costs(self, message_ids: Sequence[UUID]) -> Mapping[UUID, int]:
        """Return what each message costs whoever pays for it."""
        self._check()
        return {one: cost_of(self._ledger.streams[Message][one][0]) for one in message_ids}

    async def margins(self, agent_id: UUID, start: datetime, end: datetime) -> Sequence[MarginView]:
        """Return what an agent earned with each customer between two instants."""
        self._check()
        totals: dict[UUID, tuple[int, int, int]] = {}
        for entry in self._entries(agent_id):
            sign = {CreditAccount.Charged: 1, CreditAccount.Refunded: -1}.get(type(entry))
            if sign is None or entry.sub_account_id is None or not start <= entry.timestamp < end:
                continue
            count, price, cost = totals.get(entry.sub_account_id, (0, 0, 0))
            totals[entry.sub_account_id] = (
                count + sign,
                price + sign * entry.price_micros,
                cost + sign * entry.amount_micros,
            )
        return [
            MarginView(
                format_id(ACCOUNT_PREFIX, one.id),
                one.name,
                *totals[one.id],
                totals[one.id][1] - totals[one.id][2],
            )
            for one in self._customers(agent_id)
            if one.id in totals
        ]

    def _entries(self, account_id: UUID) -> list[Any]:
        return self._ledger.streams[CreditAccount].get(account_id, [])

    def _customers(self, agent_id: UUID) -> Iterator[Account]:
        for account_id in self._ledger.ids(Account):
            account = self._ledger.load(Account, account_id)
            if account is not None and account.agent_id == agent_id:
                yield account

    def _customer_view(self, account: Account) -> CustomerView:
        return CustomerView(
            id=format_id(ACCOUNT_PREFIX, account.id),
            name=account.name,
            tier=account.tier.value,
            pays_itself=account.pays_itself,
            spending_cap_micros=account.spending_cap_micros,
            spent_this_month_micros=self._ledger.spent.get((account.id, month_of(self._now())), 0),
            opened_at=account.created_on,
        )

    def _now(self) -> datetime:
        last: Any = self._ledger.log[-1]
        now: datetime = last.timestamp
        return now

    def _check(self) -> None:
        if not self.is_available:
            msg = "The database is away."
            raise ReadsUnavailable(msg)


def _fits(entry: Any, wanted: EntryFilter) -> bool:
    return (
        (wanted.name is None or f"credit_account.{wanted.name}.1" == entry.TOPIC)
        and (wanted.at_from is None or entry.timestamp >= wanted.at_from)
        and (wanted.at_before is None or entry.timestamp < wanted.at_before)
        and wanted.campaign_id in (None, getattr(entry, "campaign_id", None))
    )


def _balance_after(entry: Any, at: datetime) -> BalanceView:
    after = (
        entry.posted_after_micros,
        entry.reserved_after_micros,
        entry.credit_limit_after_micros,
    )
    return own_balance(entry.originator_id, entry.originator_version, after, at)


def _adjustment_view(stream: Sequence[Any]) -> AdjustmentView:
    asked, last = stream[0], stream[-1]
    is_decided = len(stream) > 1
    return AdjustmentView(
        id=format_id(ADJUSTMENT_PREFIX, asked.originator_id),
        account_id=format_id(ACCOUNT_PREFIX, asked.account_id),
        amount_micros=asked.amount_micros,
        category=asked.category,
        reason=asked.reason,
        state=last.TOPIC.split(".")[1],
        proposed_by=asked.actor,
        proposed_at=asked.timestamp,
        decided_by=last.actor if is_decided else None,
        decided_at=last.timestamp if is_decided else None,
        entry=getattr(last, "entry_version", None),
    )
